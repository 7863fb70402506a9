use super::*;

fn parse(
    listeners: &str,
    advertised: &str,
    map: &str,
    controllers: &str,
) -> Result<Listeners, String> {
    let list = |text: &str| {
        text.split(',')
            .map(|item| item.trim().to_owned())
            .collect::<Vec<_>>()
    };
    let mut network = NetworkSettings {
        listeners: list(listeners),
        ..Default::default()
    };
    network.advertised_listeners = Some(list(advertised));
    if !map.is_empty() {
        network.listener_security_protocol_map = map.into();
    }
    let quorum = QuorumSettings {
        controller_listener_names: Some(list(controllers)),
        ..Default::default()
    };
    Listeners::parse(&network, &quorum)
}

fn endpoint(host: &str, port: u16) -> Endpoint {
    Endpoint {
        host: host.into(),
        port,
    }
}

#[test]
fn endpoints_are_read_and_written_alike() {
    let table = [
        ("localhost:9092", Some(("localhost", 9092))),
        (":0", Some(("", 0))),
        ("[::]:9092", Some(("::", 9092))),
        ("[fe80::1%eth0]:1", Some(("fe80::1%eth0", 1))),
        ("::1:9092", None),
        ("a:65536", None),
        ("a:-1", None),
        ("a", None),
        ("a b:1", None),
        ("[a:1", None),
    ];
    for (text, expected) in table {
        let parsed = Endpoint::parse(text).ok();
        assert_eq!(
            parsed,
            expected.map(|(host, port)| endpoint(host, port)),
            "{text}"
        );
    }
    assert_eq!(endpoint("::1", 9).to_string(), "[::1]:9");
    assert_eq!(endpoint("kafka", 9).to_string(), "kafka:9");
}

#[test]
fn names_protocols_and_advertised_addresses_come_together() {
    let parsed = parse(
        "internal://:9092, EXT://[::]:9094,CONTROLLER://:9093",
        "EXT://kafka.example:19094",
        "INTERNAL:PLAINTEXT,EXT:PLAINTEXT",
        "CONTROLLER",
    )
    .unwrap();
    let [internal, ext, controller] = parsed.all.as_slice() else {
        panic!("{parsed:?}")
    };
    assert_eq!(
        (
            internal.name.as_str(),
            &internal.endpoint,
            &internal.advertised
        ),
        ("INTERNAL", &endpoint("", 9092), &None)
    );
    assert_eq!(
        (&ext.endpoint, &ext.advertised),
        (
            &endpoint("::", 9094),
            &Some(endpoint("kafka.example", 19094))
        )
    );
    assert!(controller.is_controller && !internal.is_controller);
    assert_eq!(parsed.for_clients().count(), 2);
}

#[test]
fn a_host_name_is_advertised_and_an_address_is_not() {
    let advertised = |listeners: &str| {
        parse(listeners, "", "", "").unwrap().all[0]
            .advertised
            .clone()
    };
    assert_eq!(
        advertised("PLAINTEXT://kafka.example:9092"),
        Some(endpoint("kafka.example", 9092))
    );
    for local in [
        "PLAINTEXT://127.0.0.1:9092",
        "PLAINTEXT://:9092",
        "PLAINTEXT://[::1]:9092",
        "PLAINTEXT://localhost:9092",
    ] {
        assert_eq!(advertised(local), None, "{local}");
    }
}

#[test]
fn what_kafka_refuses_is_refused() {
    let table = [
        ("", "", "", "must name at least one"),
        ("PLAINTEXT:9092", "", "", "Unable to parse PLAINTEXT:9092"),
        ("PLAINTEXT://a", "", "", "Unable to parse PLAINTEXT://a"),
        ("PLAINTEXT://:1,PLAINTEXT://:2", "", "", "different name"),
        (
            "PLAINTEXT://:1,B://:1",
            "",
            "PLAINTEXT:PLAINTEXT,B:PLAINTEXT",
            "different port",
        ),
        (
            "B://:1",
            "",
            "",
            "No security protocol defined for listener B",
        ),
        ("B://:1", "", "B:TLS", "Security protocol TLS is invalid"),
        ("B://:1", "", "B", "is not NAME:PROTOCOL"),
        (
            "PLAINTEXT://:1",
            "PLAINTEXT://0.0.0.0:1",
            "",
            "nonroutable meta-address 0.0.0.0",
        ),
        (
            "PLAINTEXT://:1",
            "PLAINTEXT://[::]:1",
            "",
            "nonroutable meta-address ::",
        ),
        ("PLAINTEXT://:1", "PLAINTEXT://:1", "", "nonroutable"),
        ("PLAINTEXT://:1", "OTHER://a:1", "", "Found OTHER"),
        ("SSL://:1", "", "", "asks for SSL"),
        (
            "PLAINTEXT://:1,SASL_PLAINTEXT://:2",
            "",
            "",
            "asks for SASL_PLAINTEXT",
        ),
    ];
    for (listeners, advertised, map, message) in table {
        let error = parse(listeners, advertised, map, "").unwrap_err();
        assert!(error.contains(message), "{listeners} {advertised}: {error}");
    }
    assert!(
        parse("C://:1", "", "C:PLAINTEXT", "C")
            .unwrap_err()
            .contains("no listener for clients")
    );
}

#[test]
fn one_port_may_serve_both_address_families() {
    assert!(
        parse(
            "A://0.0.0.0:1,B://[::]:1",
            "",
            "A:PLAINTEXT,B:PLAINTEXT",
            ""
        )
        .is_ok()
    );
    assert!(parse("A://:0,B://:0", "", "A:PLAINTEXT,B:PLAINTEXT", "").is_ok());
}

#[test]
fn telling_other_machines_to_use_loopback_is_warned_about() {
    assert_eq!(
        parse("PLAINTEXT://:1", "PLAINTEXT://localhost:1", "", "")
            .unwrap()
            .warnings()
            .len(),
        1
    );
    assert_eq!(
        parse("PLAINTEXT://127.0.0.1:1", "PLAINTEXT://localhost:1", "", "")
            .unwrap()
            .warnings()
            .len(),
        0
    );
}
