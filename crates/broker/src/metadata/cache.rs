//! The latest published image, and word of each new one (`KRaftMetadataCache`).

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use ottla_protocol::ids::Offset;
use tokio::sync::watch;

use super::image::MetadataImage;
use super::record::control::Voter;

/// Where handlers find the state of the cluster. An image in it is usable: what it names has been set up.
#[derive(Debug)]
pub struct MetadataCache {
    image: ArcSwap<MetadataImage>,
    published: watch::Sender<Offset>,
    voter: Option<Voter>,
}

impl MetadataCache {
    /// Begin with `image`.
    pub fn new(image: Arc<MetadataImage>) -> Self {
        let published = watch::Sender::new(image.provenance.last_contained_offset);
        Self {
            image: ArcSwap::new(image),
            published,
            voter: None,
        }
    }

    /// With the only voter of the metadata quorum, as the log names it.
    pub(super) fn with_voter(self, voter: Option<Voter>) -> Self {
        Self { voter, ..self }
    }

    /// The only voter of the metadata quorum; `None` when the log does not name its voters (`kraft.version` 0).
    pub fn voter(&self) -> Option<&Voter> {
        self.voter.as_ref()
    }

    /// Level of the feature `kraft.version`.
    pub fn kraft_version(&self) -> i16 {
        i16::from(self.voter.is_some())
    }

    /// The image, for the length of one look. Never held across an await.
    pub fn load(&self) -> Guard<Arc<MetadataImage>> {
        self.image.load()
    }

    /// The image, to be kept for a while.
    pub fn image(&self) -> Arc<MetadataImage> {
        self.image.load_full()
    }

    /// Tells the last offset of each image that is published from now on.
    pub fn subscribe(&self) -> watch::Receiver<Offset> {
        self.published.subscribe()
    }

    /// Put a new image in place.
    pub(super) fn store(&self, image: Arc<MetadataImage>) {
        let offset = image.provenance.last_contained_offset;
        self.image.store(image);
        self.published.send_replace(offset);
    }
}
