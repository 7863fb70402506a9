use super::*;

type Quota = (ClientQuotaEntity, String, f64);

fn quota(key: &str, entity: &[(&str, Option<&str>)], value: f64) -> Quota {
    let entity = ClientQuotaEntity::new(entity.iter().copied());
    (entity, key.to_owned(), value)
}

fn indexed(quotas: &[Quota]) -> QuotaIndex {
    let mut index = QuotaIndex::default();
    for (entity, key, value) in quotas {
        index.add(entity, key, *value);
    }
    index
}

/// The eight levels, the first goes before all others.
const LEVELS: [&[(&str, Option<&str>)]; 8] = [
    &[("user", Some("u")), ("client-id", Some("c"))],
    &[("user", Some("u")), ("client-id", None)],
    &[("user", Some("u"))],
    &[("user", None), ("client-id", Some("c"))],
    &[("user", None), ("client-id", None)],
    &[("user", None)],
    &[("client-id", Some("c"))],
    &[("client-id", None)],
];

fn find(quotas: &[Quota], user: &str, client_id: &str) -> Option<(QuotaEntity, f64)> {
    let index = indexed(quotas);
    let levels = index.levels(QuotaKind::Produce)?;
    levels.find(&QuotaClient { user, client_id })
}

/// Of every subset of the eight levels the first that is there holds, and says who shares it.
#[test]
fn the_most_specific_level_holds() {
    let levels = LEVELS.iter().zip(1..);
    let records = levels.map(|(entity, number)| quota("producer_byte_rate", entity, number.into()));
    let records: Vec<_> = records.collect();
    let shared = [
        ("u", "c"),
        ("u", "c"),
        ("u", ""),
        ("u", "c"),
        ("u", "c"),
        ("u", ""),
        ("", "c"),
        ("", "c"),
    ];
    for subset in 0_u32..256 {
        let chosen = (0..8).filter(|level| subset >> level & 1 == 1);
        let set: Vec<_> = chosen.clone().map(|level| records[level].clone()).collect();
        let expected = chosen.min().map(|level| {
            let (user, client_id) = shared[level];
            (QuotaEntity::new(user, client_id), level as f64 + 1.0)
        });
        assert_eq!(find(&set, "u", "c"), expected, "{subset:08b}");
    }
}

#[test]
fn others_are_held_by_the_defaults_alone() {
    let all = LEVELS
        .iter()
        .zip(1..)
        .map(|(entity, number)| quota("producer_byte_rate", entity, number.into()));
    let all: Vec<_> = all.collect();
    let value = |user, client_id| find(&all, user, client_id).map(|(_, value)| value);
    assert_eq!(value("u", "other"), Some(2.0));
    assert_eq!(value("other", "c"), Some(4.0));
    assert_eq!(value("other", "other"), Some(5.0));
    // Who has no client id is held by quotas of users only.
    assert_eq!(value("u", ""), Some(3.0));
    assert_eq!(value("other", ""), Some(6.0));
    assert_eq!(find(&all[6..], "u", ""), None);
}

#[test]
fn kinds_do_not_mix_and_what_nobody_knows_is_passed_over() {
    let by_client: &[_] = &[("client-id", Some("c"))];
    let index = indexed(&[
        quota("consumer_byte_rate", by_client, 1.0),
        quota("controller_mutation_rate", by_client, 2.0),
        quota("request_percentage", by_client, 3.0),
        quota("share_byte_rate", by_client, 4.0),
        quota("producer_byte_rate", &[("group", Some("c"))], 5.0),
    ]);
    assert_eq!(index.levels(QuotaKind::Produce), None);
    for (kind, value) in QuotaKind::ALL[1..].iter().zip([1.0, 2.0, 3.0]) {
        let client = QuotaClient {
            user: "u",
            client_id: "c",
        };
        let found = index.levels(*kind).and_then(|levels| levels.find(&client));
        assert_eq!(found.map(|(_, value)| value), Some(value), "{kind:?}");
    }
    assert!(!index.is_empty());
    assert!(indexed(&[quota("nobody", by_client, 4.0)]).is_empty());
}

#[test]
fn addresses_have_rates_of_their_own() {
    let rate = |name, value| quota("connection_creation_rate", &[("ip", name)], value);
    let [one, mapped, other]: [IpAddr; 3] =
        ["10.0.0.1", "::ffff:10.0.0.1", "10.0.0.2"].map(|ip| ip.parse().unwrap());
    let index = indexed(&[rate(Some("10.0.0.1"), 5.0)]);
    assert_eq!(index.connection_rate(one), Some(5.0));
    assert_eq!(index.connection_rate(mapped), Some(5.0));
    assert_eq!(index.connection_rate(other), None);
    let index = indexed(&[rate(Some("10.0.0.1"), 5.0), rate(None, 9.0)]);
    assert_eq!(index.connection_rate(one), Some(5.0));
    assert_eq!(index.connection_rate(other), Some(9.0));
}
