//! Shapes of the requests about authentication and authorization.

use kafka_protocol::messages::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::create_delegation_token_request::CreatableRenewers;
use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::describe_delegation_token_request::DescribeDelegationTokenOwner;
use kafka_protocol::messages::describe_user_scram_credentials_request::UserName;
use kafka_protocol::messages::{
    AlterUserScramCredentialsRequest, CreateAclsRequest, CreateDelegationTokenRequest,
    DeleteAclsRequest, DescribeAclsRequest, DescribeDelegationTokenRequest,
    DescribeUserScramCredentialsRequest, ExpireDelegationTokenRequest, RenewDelegationTokenRequest,
    SaslAuthenticateRequest, SaslHandshakeRequest,
};

use crate::guard::shape::{NEVER_FLEXIBLE, Shape, array, blob, fixed, shape, text};

pub(super) static SASL_HANDSHAKE: Shape =
    shape::<SaslHandshakeRequest>(NEVER_FLEXIBLE, &[text("mechanism")]);

pub(super) static SASL_AUTHENTICATE: Shape =
    shape::<SaslAuthenticateRequest>(2, &[blob("auth_bytes")]);

pub(super) static DESCRIBE_ACLS: Shape = shape::<DescribeAclsRequest>(
    2,
    &[
        fixed("resource_type_filter", 1),
        text("resource_name_filter"),
        fixed("pattern_type_filter", 1),
        text("principal_filter"),
        text("host_filter"),
        fixed("operation, permission_type", 2),
    ],
);

pub(super) static CREATE_ACLS: Shape = shape::<CreateAclsRequest>(
    2,
    &[array::<AclCreation>(
        "creations",
        &[
            fixed("resource_type", 1),
            text("resource_name"),
            fixed("resource_pattern_type", 1),
            text("principal"),
            text("host"),
            fixed("operation, permission_type", 2),
        ],
    )],
)
.large();

pub(super) static DELETE_ACLS: Shape = shape::<DeleteAclsRequest>(
    2,
    &[array::<DeleteAclsFilter>(
        "filters",
        &[
            fixed("resource_type_filter", 1),
            text("resource_name_filter"),
            fixed("pattern_type_filter", 1),
            text("principal_filter"),
            text("host_filter"),
            fixed("operation, permission_type", 2),
        ],
    )],
);

pub(super) static DESCRIBE_USER_SCRAM_CREDENTIALS: Shape =
    shape::<DescribeUserScramCredentialsRequest>(0, &[array::<UserName>("users", &[text("name")])]);

pub(super) static ALTER_USER_SCRAM_CREDENTIALS: Shape = shape::<AlterUserScramCredentialsRequest>(
    0,
    &[
        array::<ScramCredentialDeletion>("deletions", &[text("name"), fixed("mechanism", 1)]),
        array::<ScramCredentialUpsertion>(
            "upsertions",
            &[
                text("name"),
                fixed("mechanism, iterations", 5),
                blob("salt"),
                blob("salted_password"),
            ],
        ),
    ],
);

pub(super) static CREATE_DELEGATION_TOKEN: Shape = shape::<CreateDelegationTokenRequest>(
    2,
    &[
        text("owner_principal_type").since(3),
        text("owner_principal_name").since(3),
        array::<CreatableRenewers>(
            "renewers",
            &[text("principal_type"), text("principal_name")],
        ),
        fixed("max_lifetime_ms", 8),
    ],
);

pub(super) static RENEW_DELEGATION_TOKEN: Shape =
    shape::<RenewDelegationTokenRequest>(2, &[blob("hmac"), fixed("renew_period_ms", 8)]);

pub(super) static EXPIRE_DELEGATION_TOKEN: Shape =
    shape::<ExpireDelegationTokenRequest>(2, &[blob("hmac"), fixed("expiry_time_period_ms", 8)]);

pub(super) static DESCRIBE_DELEGATION_TOKEN: Shape = shape::<DescribeDelegationTokenRequest>(
    2,
    &[array::<DescribeDelegationTokenOwner>(
        "owners",
        &[text("principal_type"), text("principal_name")],
    )],
);
