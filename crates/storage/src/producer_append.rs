//! Judge one producer's batch before it is appended (`ProducerAppendInfo.java`): does it repeat what is in the log,
//! leave a gap, or come from an incarnation that has been replaced?

use ottla_protocol::ids::{ProducerEpoch, ProducerId, Sequence};
use ottla_protocol::record::{BatchHeader, EndTxnMarker};

use crate::append::AppendOrigin;
use crate::error::AppendError;
use crate::producer_state::{BatchMetadata, ProducerEntry, ProducerState};

/// What to do with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Append it.
    Append,
    /// It is in the log already: answer as when it was appended.
    Duplicate(BatchMetadata),
}

/// Judge a batch by what is known of its producer. `marker` is what its control record says, if it has one.
pub(crate) fn judge(
    state: &ProducerState,
    header: &BatchHeader,
    marker: Option<&EndTxnMarker>,
    origin: AppendOrigin,
) -> Result<Verdict, AppendError> {
    let id = header.producer_id();
    if id == ProducerId::NONE || origin == AppendOrigin::Replication {
        return Ok(Verdict::Append);
    }
    let entry = state.get(id);
    if origin == AppendOrigin::Client
        && let Some(batch) = entry.and_then(|entry| entry.duplicate_of(header))
    {
        return Ok(Verdict::Duplicate(*batch));
    }
    let Some(entry) = entry else {
        // Its records may all have been deleted, so the first sequence seen may be any.
        let unknown = ProducerEntry::unknown();
        return marker
            .map_or(Ok(()), |marker| check_coordinator(id, &unknown, marker))
            .map(|()| Verdict::Append);
    };
    check_epoch(id, entry, header.producer_epoch())?;
    if header.is_control() {
        let marker = marker.ok_or(AppendError::ControlBatch(id))?;
        check_coordinator(id, entry, marker)?;
    } else {
        if origin == AppendOrigin::Client {
            check_sequence(id, entry, header)?;
        }
        if entry.txn_first_offset.is_some() && !header.is_transactional() {
            return Err(AppendError::InvalidTxnState(id));
        }
    }
    Ok(Verdict::Append)
}

fn check_epoch(
    id: ProducerId,
    entry: &ProducerEntry,
    epoch: ProducerEpoch,
) -> Result<(), AppendError> {
    if epoch < entry.epoch {
        return Err(AppendError::InvalidProducerEpoch {
            producer_id: id,
            epoch,
            current: entry.epoch,
        });
    }
    Ok(())
}

fn check_coordinator(
    id: ProducerId,
    entry: &ProducerEntry,
    marker: &EndTxnMarker,
) -> Result<(), AppendError> {
    if marker.coordinator_epoch < entry.coordinator_epoch {
        return Err(AppendError::TransactionCoordinatorFenced {
            producer_id: id,
            found: marker.coordinator_epoch,
            current: entry.coordinator_epoch,
        });
    }
    Ok(())
}

fn check_sequence(
    id: ProducerId,
    entry: &ProducerEntry,
    header: &BatchHeader,
) -> Result<(), AppendError> {
    let first = header.base_sequence();
    let in_order = if entry.epoch == ProducerEpoch::NONE {
        true
    } else if header.producer_epoch() != entry.epoch {
        first == Sequence(0)
    } else {
        first == entry.last_sequence().plus(1)
    };
    if in_order {
        return Ok(());
    }
    Err(AppendError::OutOfOrderSequence {
        producer_id: id,
        found: first,
        last: entry.last_sequence(),
    })
}

#[cfg(test)]
mod tests;
