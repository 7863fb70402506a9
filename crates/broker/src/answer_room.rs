//! How large an answer may grow.
//!
//! Some requests name things whose description is thousands of times as long as their name, and may name the same one
//! again and again: 4 KiB of a group's id would be answered with a gigabyte of its members. Whoever puts such an answer
//! together takes what each element needs out of an [`AnswerRoom`]. What does not fit is answered with an error, and
//! so is all that comes behind it.

use ottla_protocol::ResponseError;
use ottla_protocol::kafka_protocol::protocol::Encodable;

/// Most bytes of such an answer: what librdkafka takes by default (`receive.message.max.bytes`).
pub const MAX_ANSWER_BYTES: usize = 100_000_000;

/// What is told where an error has a text.
pub const TOO_LARGE: &str =
    "The answer would take more than 100 MB: ask for less at a time, and for each thing once.";

/// Bytes that an answer in the making may still take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerRoom(usize);

impl Default for AnswerRoom {
    fn default() -> Self {
        Self(MAX_ANSWER_BYTES)
    }
}

impl AnswerRoom {
    /// Make an element, unless there is no room for it.
    ///
    /// # Errors
    /// INVALID_REQUEST, and no room is left from then on.
    pub fn put<T: Encodable>(
        &mut self,
        version: i16,
        make: impl FnOnce() -> T,
    ) -> Result<T, ResponseError> {
        self.take(0)?;
        let element = make();
        self.take(size_of(&element, version)).map(|()| element)
    }

    /// Note what somebody else has put into the answer.
    pub fn spend(&mut self, part: &impl Encodable, version: i16) {
        // It is there already: what comes behind it is refused.
        let _ = self.take(size_of(part, version));
    }

    /// Take `bytes`.
    ///
    /// # Errors
    /// INVALID_REQUEST, and no room is left from then on.
    pub fn take(&mut self, bytes: usize) -> Result<(), ResponseError> {
        self.0 = self.0.saturating_sub(bytes);
        match self.0 {
            0 => Err(ResponseError::InvalidRequest),
            _ => Ok(()),
        }
    }
}

fn size_of(part: &impl Encodable, version: i16) -> usize {
    // What cannot be encoded is for the encoder to tell.
    part.compute_size(version).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use ottla_protocol::kafka_protocol::protocol::StrBytes;
    use ottla_protocol::messages::describe_groups_response::DescribedGroup;

    use super::*;

    fn group(bytes: usize) -> DescribedGroup {
        let state = StrBytes::from_string("x".repeat(bytes));
        DescribedGroup::default().with_group_state(state)
    }

    #[test]
    fn what_does_not_fit_is_not_even_made_and_nothing_comes_behind_it() {
        let mut room = AnswerRoom(1000);
        assert!(room.put(6, || group(400)).is_ok());
        assert!(room.put(6, || group(400)).is_ok());
        let refused = Err(ResponseError::InvalidRequest);
        assert_eq!(room.put(6, || group(400)), refused);
        let never = || -> DescribedGroup { panic!("it is made though there is no room") };
        assert_eq!(room.put(6, never), refused);
        assert!(room.take(1).is_err());
    }
}
