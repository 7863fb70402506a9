//! Authentication, authorisation and TLS.

use super::key::config_keys;

config_keys! {
    /// Authentication, authorisation and TLS.
    pub struct SecuritySettings, keys KEYS {
        /// How long a failed authentication is held before the connection is closed, ms.
        connection_failed_authentication_delay_ms: i32, "connection.failed.authentication.delay.ms" = 100, ReadOnly, AtLeast(0), NoEffect;
        /// Time after which a SASL client must authenticate again, ms; 0 is never.
        connections_max_reauth_ms: i64, "connections.max.reauth.ms" = 0, ReadOnly, Any, NoEffect;
    }
    without_field {
        /// Class that decides who may do what.
        String "authorizer.class.name" = "", ReadOnly, Any, Unsafe("requests are not authorised yet; start without it only where every client may do everything");
        /// Java class that names the principal of a connection.
        Class "principal.builder.class" = "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder", PerBroker, Any, Unsafe("principals come from the listener; a custom builder cannot be run");
        /// Security protocol between brokers.
        String "security.inter.broker.protocol" = "PLAINTEXT", ReadOnly, OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]), NoEffect;
        /// Java security providers.
        String "security.providers" = null, ReadOnly, Any, NoEffect;
        /// Secret from which delegation tokens are made.
        Password "delegation.token.secret.key" = null, ReadOnly, Any, Unsupported("delegation tokens do not exist yet");
        /// How often expired delegation tokens are removed, ms.
        Long "delegation.token.expiry.check.interval.ms" = 3600000, ReadOnly, AtLeast(1), NoEffect;
        /// Life of a delegation token unless renewed, ms.
        Long "delegation.token.expiry.time.ms" = 86400000, ReadOnly, AtLeast(1), NoEffect;
        /// Longest life of a delegation token, ms.
        Long "delegation.token.max.lifetime.ms" = 604800000, ReadOnly, AtLeast(1), NoEffect;
        /// SASL mechanisms that clients may use.
        List "sasl.enabled.mechanisms" = "GSSAPI", PerBroker, Any, NoEffect;
        /// SASL mechanism between brokers.
        String "sasl.mechanism.inter.broker.protocol" = "GSSAPI", PerBroker, Any, NoEffect;
        /// SASL mechanism towards controllers.
        String "sasl.mechanism.controller.protocol" = "GSSAPI", ReadOnly, Any, NoEffect;
        /// JAAS entry of a listener and mechanism.
        Password "sasl.jaas.config" = null, PerBroker, Any, NoEffect;
        /// Java class that checks credentials.
        Class "sasl.server.callback.handler.class" = null, ReadOnly, Any, NoEffect;
        /// Java class that supplies credentials.
        Class "sasl.client.callback.handler.class" = null, ReadOnly, Any, NoEffect;
        /// Java class that supplies login credentials.
        Class "sasl.login.callback.handler.class" = null, ReadOnly, Any, NoEffect;
        /// Java class that logs in.
        Class "sasl.login.class" = null, ReadOnly, Any, NoEffect;
        /// Largest SASL token accepted, bytes.
        Int "sasl.server.max.receive.size" = 524288, ReadOnly, Any, NoEffect;
        /// Path of kinit.
        String "sasl.kerberos.kinit.cmd" = "/usr/bin/kinit", PerBroker, Any, NoEffect;
        /// Shortest time between two Kerberos logins, ms.
        Long "sasl.kerberos.min.time.before.relogin" = 60000, PerBroker, Any, NoEffect;
        /// Rules that turn a Kerberos principal into a user.
        List "sasl.kerberos.principal.to.local.rules" = "DEFAULT", PerBroker, Any, NoEffect;
        /// Kerberos service name of this broker.
        String "sasl.kerberos.service.name" = null, PerBroker, Any, NoEffect;
        /// Random part of the ticket renewal time.
        Double "sasl.kerberos.ticket.renew.jitter" = "0.05", PerBroker, Any, NoEffect;
        /// Share of a ticket's life after which it is renewed.
        Double "sasl.kerberos.ticket.renew.window.factor" = "0.8", PerBroker, Any, NoEffect;
        /// Connection timeout towards the OAuth provider, ms.
        Int "sasl.login.connect.timeout.ms" = null, ReadOnly, Any, NoEffect;
        /// Read timeout towards the OAuth provider, ms.
        Int "sasl.login.read.timeout.ms" = null, ReadOnly, Any, NoEffect;
        /// Time before expiry that a token refresh keeps clear of, seconds.
        Short "sasl.login.refresh.buffer.seconds" = 300, PerBroker, Any, NoEffect;
        /// Shortest time between two token refreshes, seconds.
        Short "sasl.login.refresh.min.period.seconds" = 60, PerBroker, Any, NoEffect;
        /// Share of a token's life after which it is refreshed.
        Double "sasl.login.refresh.window.factor" = "0.8", PerBroker, Any, NoEffect;
        /// Random part of the token refresh time.
        Double "sasl.login.refresh.window.jitter" = "0.05", PerBroker, Any, NoEffect;
        /// Longest pause between two login attempts, ms.
        Long "sasl.login.retry.backoff.max.ms" = 10000, ReadOnly, Any, NoEffect;
        /// First pause between two login attempts, ms.
        Long "sasl.login.retry.backoff.ms" = 100, ReadOnly, Any, NoEffect;
        /// Algorithm that signs the JWT assertion.
        String "sasl.oauthbearer.assertion.algorithm" = "RS256", ReadOnly, OneOfIgnoreCase(&["ES256", "RS256"]), NoEffect;
        /// Audience claim of the JWT assertion.
        String "sasl.oauthbearer.assertion.claim.aud" = null, ReadOnly, Any, NoEffect;
        /// Life of the JWT assertion, seconds.
        Int "sasl.oauthbearer.assertion.claim.exp.seconds" = 300, ReadOnly, Between(0, 86_400), NoEffect;
        /// Issuer claim of the JWT assertion.
        String "sasl.oauthbearer.assertion.claim.iss" = null, ReadOnly, Any, NoEffect;
        /// Whether the JWT assertion carries a unique id.
        Boolean "sasl.oauthbearer.assertion.claim.jti.include" = false, ReadOnly, Any, NoEffect;
        /// How far back the JWT assertion becomes valid, seconds.
        Int "sasl.oauthbearer.assertion.claim.nbf.seconds" = 60, ReadOnly, Between(0, 3_600), NoEffect;
        /// Subject claim of the JWT assertion.
        String "sasl.oauthbearer.assertion.claim.sub" = null, ReadOnly, Any, NoEffect;
        /// File that holds a ready JWT assertion.
        String "sasl.oauthbearer.assertion.file" = null, ReadOnly, Any, NoEffect;
        /// Private key that signs the JWT assertion.
        String "sasl.oauthbearer.assertion.private.key.file" = null, ReadOnly, Any, NoEffect;
        /// Passphrase of the assertion's private key.
        Password "sasl.oauthbearer.assertion.private.key.passphrase" = null, ReadOnly, Any, NoEffect;
        /// Template of the JWT assertion.
        String "sasl.oauthbearer.assertion.template.file" = null, ReadOnly, Any, NoEffect;
        /// Client id for the OAuth client credentials grant.
        String "sasl.oauthbearer.client.credentials.client.id" = null, ReadOnly, Any, NoEffect;
        /// Secret for the OAuth client credentials grant.
        Password "sasl.oauthbearer.client.credentials.client.secret" = null, ReadOnly, Any, NoEffect;
        /// Clock difference tolerated when a JWT is checked, seconds.
        Int "sasl.oauthbearer.clock.skew.seconds" = 30, ReadOnly, Any, NoEffect;
        /// Audiences of which a JWT must name one.
        List "sasl.oauthbearer.expected.audience" = "", ReadOnly, Any, NoEffect;
        /// Issuer a JWT must name.
        String "sasl.oauthbearer.expected.issuer" = null, ReadOnly, Any, NoEffect;
        /// How often the JWT signing keys are fetched, ms.
        Long "sasl.oauthbearer.jwks.endpoint.refresh.ms" = 3600000, ReadOnly, Any, NoEffect;
        /// Longest pause between two attempts to fetch the signing keys, ms.
        Long "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms" = 10000, ReadOnly, Any, NoEffect;
        /// First pause between two attempts to fetch the signing keys, ms.
        Long "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms" = 100, ReadOnly, Any, NoEffect;
        /// Address of the JWT signing keys.
        String "sasl.oauthbearer.jwks.endpoint.url" = null, ReadOnly, Any, NoEffect;
        /// Java class that obtains a JWT.
        Class "sasl.oauthbearer.jwt.retriever.class" = "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever", ReadOnly, Any, NoEffect;
        /// Java class that checks a JWT.
        Class "sasl.oauthbearer.jwt.validator.class" = "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator", ReadOnly, Any, NoEffect;
        /// Scope asked for with the OAuth client credentials grant.
        String "sasl.oauthbearer.scope" = null, ReadOnly, Any, NoEffect;
        /// JWT claim that holds the scope.
        String "sasl.oauthbearer.scope.claim.name" = "scope", ReadOnly, Any, NoEffect;
        /// JWT claim that holds the subject.
        String "sasl.oauthbearer.sub.claim.name" = "sub", ReadOnly, Any, NoEffect;
        /// Address of the OAuth token endpoint.
        String "sasl.oauthbearer.token.endpoint.url" = null, ReadOnly, Any, NoEffect;
        /// Whether a new certificate may carry another distinguished name.
        Boolean "ssl.allow.dn.changes" = false, ReadOnly, Any, NoEffect;
        /// Whether a new certificate may lack an alternative name of the old one.
        Boolean "ssl.allow.san.changes" = false, ReadOnly, Any, NoEffect;
        /// TLS cipher suites; empty is the library's choice.
        List "ssl.cipher.suites" = "", PerBroker, Any, NoEffect;
        /// Whether a TLS client must show a certificate.
        String "ssl.client.auth" = "none", PerBroker, OneOf(&["required", "requested", "none"]), NoEffect;
        /// TLS versions that are served.
        List "ssl.enabled.protocols" = "TLSv1.2,TLSv1.3", PerBroker, Any, NoEffect;
        /// Whether the host name of a server certificate is checked.
        String "ssl.endpoint.identification.algorithm" = "https", PerBroker, Any, NoEffect;
        /// Java class that makes TLS engines.
        Class "ssl.engine.factory.class" = null, PerBroker, Any, NoEffect;
        /// Password of the private key.
        Password "ssl.key.password" = null, PerBroker, Any, NoEffect;
        /// Java key manager.
        String "ssl.keymanager.algorithm" = "SunX509", PerBroker, Any, NoEffect;
        /// Certificate chain, PEM.
        Password "ssl.keystore.certificate.chain" = null, PerBroker, Any, NoEffect;
        /// Private key, PEM.
        Password "ssl.keystore.key" = null, PerBroker, Any, NoEffect;
        /// File with private key and certificate chain.
        String "ssl.keystore.location" = null, PerBroker, Any, NoEffect;
        /// Password of the key store.
        Password "ssl.keystore.password" = null, PerBroker, Any, NoEffect;
        /// Format of the key store.
        String "ssl.keystore.type" = "JKS", PerBroker, Any, NoEffect;
        /// Rules that turn a certificate's name into a principal.
        String "ssl.principal.mapping.rules" = "DEFAULT", ReadOnly, Any, NoEffect;
        /// TLS version tried first.
        String "ssl.protocol" = "TLSv1.3", PerBroker, Any, NoEffect;
        /// Java security provider.
        String "ssl.provider" = null, PerBroker, Any, NoEffect;
        /// Java random number generator.
        String "ssl.secure.random.implementation" = null, PerBroker, Any, NoEffect;
        /// Java trust manager.
        String "ssl.trustmanager.algorithm" = "PKIX", PerBroker, Any, NoEffect;
        /// Trusted certificates, PEM.
        Password "ssl.truststore.certificates" = null, PerBroker, Any, NoEffect;
        /// File with trusted certificates.
        String "ssl.truststore.location" = null, PerBroker, Any, NoEffect;
        /// Password of the trust store.
        Password "ssl.truststore.password" = null, PerBroker, Any, NoEffect;
        /// Format of the trust store.
        String "ssl.truststore.type" = "JKS", PerBroker, Any, NoEffect;
        /// Principals that may do everything, as `User:name`, separated by semicolons.
        String "super.users" = null, ReadOnly, Any, NoEffect;
        /// Whether a resource without ACLs is open to all, once there is an authorizer.
        Boolean "allow.everyone.if.no.acl.found" = false, ReadOnly, Any, NoEffect;
    }
}
