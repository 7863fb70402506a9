//! The segments of a log in order of their base offsets (`LogSegments.java`). A set does not change; the writer
//! publishes another one.

use std::sync::Arc;

use ottla_protocol::ids::Offset;

use crate::segment::Segment;

/// The segments of a log. There is always at least one; the last one is appended to.
#[derive(Clone)]
pub(crate) struct SegmentSet(Vec<Arc<Segment>>);

impl SegmentSet {
    /// `segments` ascend by base offset and are not none.
    pub(crate) fn new(segments: Vec<Arc<Segment>>) -> Self {
        assert!(!segments.is_empty(), "invariant: a log has a segment");
        assert!(
            segments.is_sorted_by(|a, b| a.base() < b.base()),
            "invariant: segments ascend"
        );
        Self(segments)
    }

    /// All of them, in order.
    pub(crate) fn all(&self) -> &[Arc<Segment>] {
        &self.0
    }

    /// The one that is appended to.
    pub(crate) fn active(&self) -> &Arc<Segment> {
        self.0.last().expect("invariant: a log has a segment")
    }

    /// The first one.
    pub(crate) fn first(&self) -> &Arc<Segment> {
        self.0.first().expect("invariant: a log has a segment")
    }

    /// The segments from the one that covers `offset` on; from the first one when it lies before it.
    pub(crate) fn from(&self, offset: Offset) -> &[Arc<Segment>] {
        let above = self.0.partition_point(|segment| segment.base() <= offset);
        &self.0[above.saturating_sub(1)..]
    }

    /// These segments and one more behind them.
    pub(crate) fn with(&self, segment: Arc<Segment>) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment);
        Self::new(segments)
    }

    /// Without the first `count`.
    pub(crate) fn without_first(&self, count: usize) -> Self {
        Self::new(self.0[count..].to_vec())
    }
}
