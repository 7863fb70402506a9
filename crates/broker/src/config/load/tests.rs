use super::*;
use crate::config::report::Verdict;

fn file(text: &str) -> Input<'static> {
    Input {
        file: Some((PathBuf::from("server.properties"), text.as_bytes().to_vec())),
        ..Input::default()
    }
}

fn verdict(report: &Report, key: &str) -> (Verdict, String) {
    let finding = report
        .findings
        .iter()
        .rfind(|finding| finding.key == key)
        .unwrap();
    (finding.verdict, finding.message.clone())
}

#[test]
fn the_later_layer_wins_and_each_value_remembers_its_own() {
    let mut input = file(
        "num.partitions=2\nlog.retention.hours=24\nmessage.max.bytes=1000\nnum.partitions=3\n",
    );
    input.environment = vec![
        ("KAFKA_LOG_RETENTION_HOURS".into(), "48".into()),
        ("KAFKA_MESSAGE_MAX_BYTES".into(), "2000".into()),
    ];
    input.overrides = vec!["message.max.bytes=3000".into()];
    let config = load(&input).1.unwrap();
    let origin = |key: &str| config.setting(key).unwrap().origin.to_string();
    assert_eq!(
        (
            config.node.num_partitions,
            origin("num.partitions").as_str()
        ),
        (3, "server.properties:4")
    );
    assert_eq!(
        origin("log.retention.hours"),
        "environment KAFKA_LOG_RETENTION_HOURS"
    );
    assert_eq!(origin("message.max.bytes"), "--override");
    let topic = config.topic_defaults();
    assert_eq!(
        (topic.retention_ms, topic.max_message_bytes),
        (48 * 3_600_000, 3000)
    );
}

#[test]
fn every_class_of_key_gets_its_verdict_with_file_and_line() {
    let text = "log.dirs=/data\nnum.io.threads=16\nmetric.reporters=a.B\nlog.retention.hour=1\nzookeeper.connect=zk:2181\n\
                rsm.config.bucket=b\nqwertz=1\n";
    let (report, config) = load(&file(text));
    assert!(config.is_ok());
    assert_eq!(
        verdict(&report, "log.dirs"),
        (Verdict::Applied, String::new())
    );
    assert_eq!(
        verdict(&report, "num.io.threads"),
        (Verdict::NoEffect, String::new())
    );
    assert_eq!(verdict(&report, "metric.reporters").0, Verdict::Unsupported);
    assert_eq!(
        verdict(&report, "log.retention.hour"),
        (Verdict::Unknown, "did you mean log.retention.hours?".into())
    );
    assert_eq!(verdict(&report, "zookeeper.connect").0, Verdict::Removed);
    assert_eq!(verdict(&report, "rsm.config.bucket").0, Verdict::NoEffect);
    assert_eq!(
        verdict(&report, "qwertz"),
        (Verdict::Unknown, String::new())
    );
    assert_eq!(
        report.summary(),
        "7 keys: 1 applied, 2 no effect, 1 not supported, 1 removed, 2 unknown"
    );
    let lines: Vec<_> = report.notable().map(ToString::to_string).collect();
    assert_eq!(
        lines[1],
        "server.properties:4 log.retention.hour: unknown, did you mean log.retention.hours?"
    );
    let strict = Input {
        strict: true,
        ..file(text)
    };
    assert_eq!(load(&strict).1.unwrap_err().0.len(), 4);
}

#[test]
fn what_would_be_unsafe_to_ignore_is_refused() {
    let (report, config) = load(&file(
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n",
    ));
    assert_eq!(verdict(&report, "authorizer.class.name").0, Verdict::Unsafe);
    assert!(
        config.unwrap_err().0[0]
            .starts_with("server.properties:1 authorizer.class.name: unsafe, refused")
    );
    let mut input = file("authorizer.class.name=a.B\n");
    input.overrides = vec!["authorizer.class.name=".into()];
    assert!(load(&input).1.is_ok(), "a later layer may take it back");
}

#[test]
fn all_wrong_values_are_named_at_once() {
    let mut input = file("num.partitions=zero\nlog.segment.bytes=1\na=\\u00\n");
    assert_eq!(
        load(&input).1.unwrap_err().0.len(),
        1,
        "a file that cannot be read says only that"
    );
    input = file("num.partitions=zero\nlog.segment.bytes=1\nssl.keystore.password=${env:NONE}\n");
    input.overrides = vec!["nonsense".into()];
    let error = load(&input).1.unwrap_err();
    assert_eq!(
        error.0,
        [
            "--override nonsense: must be key=value",
            "server.properties:1 num.partitions: Invalid value zero for configuration num.partitions: Not a number of type INT",
            "server.properties:2 log.segment.bytes: Invalid value 1 for configuration log.segment.bytes: Value must be at least 1048576",
            "server.properties:3 ssl.keystore.password: environment variable NONE is not set",
        ]
    );
}

#[test]
fn secrets_come_from_elsewhere() {
    let mut input = file("ssl.keystore.password=${file:/secrets:pw}\nbroker.rack=${env:RACK}\n");
    input.environment = vec![("RACK".into(), "b".into())];
    input.read = &|_| Ok(b"pw=s3cret".to_vec());
    let config = load(&input).1.unwrap();
    assert_eq!(config.node.broker_rack.as_deref(), Some("b"));
    let Some(Setting {
        value: Value::Password(password),
        ..
    }) = config.setting("ssl.keystore.password")
    else {
        panic!()
    };
    assert_eq!(password.reveal(), "s3cret");
}

#[test]
fn a_typo_finds_its_key_and_a_stranger_does_not() {
    let table = [
        ("log.retention.hour", Some("log.retention.hours")),
        ("Log.Dirs", Some("log.dirs")),
        ("advertised.listener", Some("advertised.listeners")),
        ("num.partition", Some("num.partitions")),
        (
            "auto.create.topic.enable",
            Some("auto.create.topics.enable"),
        ),
        ("my.very.own.key", None),
        ("", None),
    ];
    for (typo, expected) in table {
        assert_eq!(did_you_mean(typo), expected, "{typo}");
    }
}
