//! The names of what can have configs.

use ottla_protocol::messages::ListConfigResourcesRequest;
use ottla_tests::TestBroker;

#[tokio::test]
async fn topics_and_brokers_are_listed_by_type() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    client.create_topic("a", 1, &[]).await;
    client.create_topic("b", 1, &[]).await;
    for (version, types, expected) in [
        (1, &[2][..], &[(2, "a"), (2, "b")][..]),
        (1, &[4], &[(4, "1")]),
        (1, &[2, 2, 16, 32], &[(2, "a"), (2, "b")]),
        (1, &[], &[(2, "a"), (2, "b"), (4, "1"), (8, "1")]),
        (0, &[], &[]),
    ] {
        let request = ListConfigResourcesRequest::default().with_resource_types(types.to_vec());
        let answer = client.call(version, &request).await;
        let mut found: Vec<_> = (answer.config_resources.iter())
            .map(|resource| (resource.resource_type, resource.resource_name.as_str()))
            .collect();
        found.sort_unstable();
        assert_eq!((answer.error_code, &found[..]), (0, expected), "{types:?}");
    }
    let request = ListConfigResourcesRequest::default().with_resource_types(vec![2, 3]);
    let answer = client.call(1, &request).await;
    assert_eq!((answer.error_code, answer.config_resources.len()), (35, 0));
}
