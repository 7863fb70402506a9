//! The general texts of error codes (`Errors.java`), as far as answers carry them. Clients print them.

use ottla_protocol::ResponseError;

/// What `error` says when there is nothing more to say about it.
pub fn error_text(error: ResponseError) -> String {
    let text = match error {
        ResponseError::CoordinatorNotAvailable => "The coordinator is not available.",
        ResponseError::ElectionNotNeeded => "Leader election not needed for topic partition.",
        ResponseError::EligibleLeadersNotAvailable => {
            "Eligible topic partition leaders are not available."
        }
        ResponseError::InvalidRequest => {
            "This most likely occurs because of a request being malformed by the client library or the message was \
             sent to an incompatible broker. See the broker logs for more details."
        }
        ResponseError::PolicyViolation => {
            "Request parameters do not satisfy the configured policy."
        }
        ResponseError::PreferredLeaderNotAvailable => "The preferred leader was not available.",
        ResponseError::ThrottlingQuotaExceeded => "The throttling quota has been exceeded.",
        ResponseError::TopicDeletionDisabled => "Topic deletion is disabled.",
        ResponseError::UnknownTopicId => "This server does not host this topic ID.",
        ResponseError::UnknownTopicOrPartition => "This server does not host this topic-partition.",
        other => return other.to_string(),
    };
    text.to_owned()
}
