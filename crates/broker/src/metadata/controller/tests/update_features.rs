use ottla_protocol::messages::update_features_request::FeatureUpdateKey;
use ottla_protocol::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};

use super::*;

const UPGRADE: i8 = 1;
const SAFE: i8 = 2;
const UNSAFE: i8 = 3;

fn request(updates: &[(&str, i16, i8)]) -> UpdateFeaturesRequest {
    let updates = updates.iter().map(|(name, level, upgrade_type)| {
        FeatureUpdateKey::default()
            .with_feature(text(name))
            .with_max_version_level(*level)
            .with_upgrade_type(*upgrade_type)
    });
    UpdateFeaturesRequest::default().with_feature_updates(updates.collect())
}

fn update(cluster: &mut Cluster, updates: &[(&str, i16, i8)]) -> UpdateFeaturesResponse {
    let request = request(updates);
    cluster.run(|controller| controller.update_features(&request, 2))
}

fn ready() -> Cluster {
    let mut cluster = Cluster::new();
    cluster.feature("transaction.version", 2);
    cluster
}

#[test]
fn levels_go_up_and_down() {
    let mut cluster = ready();
    let steps = [
        ("transaction.version", 1, SAFE),
        ("transaction.version", 0, UNSAFE),
        ("transaction.version", 2, UPGRADE),
        ("transaction.version", 2, UPGRADE),
        ("transaction.version", 2, SAFE),
        ("metadata.version", 25, SAFE),
        ("metadata.version", 30, UPGRADE),
    ];
    for step in steps {
        assert_eq!(
            update(&mut cluster, &[step]),
            UpdateFeaturesResponse::default()
        );
        assert_eq!(cluster.image.features.level(step.0), step.1);
    }
    assert_eq!(
        update(&mut cluster, &[("kraft.version", 1, UPGRADE)]).error_code,
        0
    );
    assert_eq!(cluster.image.features.level("kraft.version"), 0);
}

#[test]
fn refusals_say_why() {
    let safe_needed = "Can't downgrade the version of this feature without setting the upgrade type to either safe or \
                       unsafe downgrade.";
    let refused = [
        (("transaction.version", 1, UPGRADE), safe_needed),
        (
            ("transaction.version", 3, UPGRADE),
            "Local controller 1 only supports versions 0-2",
        ),
        (
            ("transaction.version", -1, SAFE),
            "A feature version cannot be less than 0.",
        ),
        (
            ("transaction.version", 1, 4),
            "The controller does not support the given upgrade type.",
        ),
        (
            ("group.version", 1, SAFE),
            "Can't downgrade to a newer version.",
        ),
        (
            ("nonsense", 1, UPGRADE),
            "Local controller 1 does not support this feature.",
        ),
        (("nonsense", 0, UPGRADE), "Feature nonsense not found."),
        (
            ("kraft.version", 0, SAFE),
            "Can't downgrade the version of this feature.",
        ),
        (
            ("metadata.version", 6, SAFE),
            "Local controller 1 only supports versions 7-30",
        ),
    ];
    for (step, reason) in refused {
        let response = update(&mut ready(), &[step]);
        let wanted = format!(
            "The update failed for all features since the following feature had an error: Invalid update version {} \
             for feature {}. {reason}",
            step.1, step.0
        );
        assert_eq!(response.error_code, 95, "{step:?}");
        assert_eq!(response.error_message.unwrap().as_str(), wanted);
    }
    for (upgrade_type, reason) in [
        (SAFE, "Refusing to perform the requested downgrade"),
        (UNSAFE, "Unsafe metadata downgrade is not supported"),
    ] {
        let response = update(&mut ready(), &[("metadata.version", 22, upgrade_type)]);
        let message = response.error_message.unwrap();
        assert!(message.contains("Invalid metadata.version 22. ") && message.contains(reason));
    }
}

#[test]
fn all_of_a_request_or_none() {
    let mut cluster = ready();
    let both = [
        ("transaction.version", 1, SAFE),
        ("group.version", 9, UPGRADE),
    ];
    assert_eq!(update(&mut cluster, &both).error_code, 95);
    assert_eq!(cluster.image.features.level("transaction.version"), 2);
    let only_validated = request(&[("transaction.version", 1, SAFE)]).with_validate_only(true);
    let decision = cluster.decide(|controller| controller.update_features(&only_validated, 1));
    assert_eq!(decision.records, []);
    let results = &decision.response.results;
    assert_eq!(results[0].feature.as_str(), "transaction.version");
    assert_eq!((results.len(), results[0].error_code), (1, 0));
}

#[test]
fn eligible_leader_replicas_need_a_metadata_version_and_fix_min_insync_replicas() {
    let elr = ("eligible.leader.replicas.version", 1, UPGRADE);
    let mut cluster = Cluster::new();
    cluster.feature("metadata.version", 22);
    let response = update(&mut cluster, &[elr]);
    let reason = "could not be set to 1 because it depends on metadata.version level 23";
    assert!(response.error_message.unwrap().contains(reason));
    let both = [elr, ("metadata.version", 26, UPGRADE)];
    assert_eq!(update(&mut cluster, &both).error_code, 0);
    let configs = &cluster.image.configs;
    let of_all = configs.all_brokers().get("min.insync.replicas");
    assert_eq!(of_all.map(String::as_str), Some("1"));
}
