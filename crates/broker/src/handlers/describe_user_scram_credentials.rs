//! DescribeUserScramCredentials: for which mechanisms users have credentials (KIP-554). Salts and keys are told to nobody.
//!
//! Version 0. Answered from the image (`ScramImage.describe`). No credentials can be set here yet, but a data directory
//! may bring some along, and `kafka-configs` asks for them wherever it describes users.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use ottla_protocol::ResponseError;
use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages::describe_user_scram_credentials_response::{
    CredentialInfo, DescribeUserScramCredentialsResult,
};
use ottla_protocol::messages::{
    DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse,
};

use super::Handler;
use crate::broker::Broker;
use crate::metadata::image::ScramImage;
use crate::network::request::RequestContext;

/// The API.
#[derive(Debug)]
pub struct DescribeUserScramCredentials;

impl Handler for DescribeUserScramCredentials {
    type Request = DescribeUserScramCredentialsRequest;
    const NAME: &'static str = "DescribeUserScramCredentials";
    const VERSIONS: RangeInclusive<i16> = 0..=0;

    async fn handle(
        broker: &Broker,
        _: &RequestContext<'_>,
        _: i16,
        request: DescribeUserScramCredentialsRequest,
    ) -> DescribeUserScramCredentialsResponse {
        let image = broker.metadata().image();
        answer(&image.scram, &request)
    }
}

fn answer(
    scram: &ScramImage,
    request: &DescribeUserScramCredentialsRequest,
) -> DescribeUserScramCredentialsResponse {
    let mut credentials = BTreeMap::<&str, Vec<CredentialInfo>>::new();
    for credential in scram.iter() {
        let info = CredentialInfo::default()
            .with_mechanism(credential.mechanism)
            .with_iterations(credential.iterations);
        credentials.entry(&credential.name).or_default().push(info);
    }
    // How often each user is asked for; without any all are.
    let mut asked = BTreeMap::<&str, usize>::new();
    for user in request.users.iter().flatten() {
        *asked.entry(&user.name).or_default() += 1;
    }
    if asked.is_empty() {
        asked = credentials.keys().map(|user| (*user, 1)).collect();
    }
    let results = asked
        .into_iter()
        .map(|(user, times)| result(user, times, credentials.remove(user)));
    DescribeUserScramCredentialsResponse::default()
        .with_error_message(None)
        .with_results(results.collect())
}

fn result(
    user: &str,
    times: usize,
    credentials: Option<Vec<CredentialInfo>>,
) -> DescribeUserScramCredentialsResult {
    let result = DescribeUserScramCredentialsResult::default()
        .with_user(StrBytes::from_string(user.to_owned()))
        .with_error_message(None);
    let (error, message) = match credentials {
        _ if times > 1 => (
            ResponseError::DuplicateResource,
            "Cannot describe SCRAM credentials for the same user twice in a single request: ",
        ),
        None => (
            ResponseError::ResourceNotFound,
            "Attempt to describe a user credential that does not exist: ",
        ),
        Some(credentials) => return result.with_credential_infos(credentials),
    };
    result
        .with_error_code(error.code())
        .with_error_message(Some(format!("{message}{user}").into()))
}

#[cfg(test)]
mod tests {
    use ottla_protocol::messages::describe_user_scram_credentials_request::UserName;

    use super::*;
    use crate::metadata::image::MetadataImage;
    use crate::metadata::record::UserScramCredentialRecord;

    /// Of `a` both mechanisms, of `b` one.
    fn image() -> MetadataImage {
        let mut image = MetadataImage::default();
        for (name, mechanism, iterations) in [("a", 2, 8192), ("b", 1, 4097), ("a", 1, 4096)] {
            let record = UserScramCredentialRecord {
                name: name.to_owned(),
                mechanism,
                iterations,
                ..Default::default()
            };
            image.replay(&record.into()).unwrap();
        }
        image
    }

    /// A user, the error code, and mechanisms with their iterations.
    type Described = (String, i16, Vec<(i8, i32)>);

    fn described(users: Option<&[&str]>) -> Vec<Described> {
        let user =
            |name: &&str| UserName::default().with_name(StrBytes::from_string((*name).to_owned()));
        let users = users.map(|users| users.iter().map(user).collect());
        let request = DescribeUserScramCredentialsRequest::default().with_users(users);
        let found = answer(&image().scram, &request);
        assert_eq!((found.error_code, found.error_message), (0, None));
        let results = found.results.into_iter().map(|result| {
            let infos = result.credential_infos.iter();
            let infos = infos
                .map(|info| (info.mechanism, info.iterations))
                .collect();
            (result.user.to_string(), result.error_code, infos)
        });
        results.collect()
    }

    #[test]
    fn users_are_described_once_by_name_or_all() {
        let a = ("a".to_owned(), 0, vec![(1, 4096), (2, 8192)]);
        let b = ("b".to_owned(), 0, vec![(1, 4097)]);
        let nobody = |user: &str, error: ResponseError| (user.to_owned(), error.code(), Vec::new());
        let both = [a.clone(), b.clone()];
        assert_eq!(described(None), both);
        assert_eq!(described(Some(&[])), both);
        assert_eq!(described(Some(&["b"])), both[1..]);
        let missing = nobody("c", ResponseError::ResourceNotFound);
        let twice = nobody("b", ResponseError::DuplicateResource);
        assert_eq!(described(Some(&["c", "b", "a", "b"])), [a, twice, missing]);
    }
}
