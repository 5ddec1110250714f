//! What readers of committed records pass over.

use super::chunk::Producer;
use crate::position::Offset;

/// A stretch in which one writer's records were aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Aborted {
    pub(super) producer: Producer,
    pub(super) first: Offset,
    /// Where its marker stands.
    pub(super) marker: Offset,
}

impl Aborted {
    pub(super) fn covers(&self, producer: Producer, offset: Offset) -> bool {
        self.producer == producer && self.first <= offset && offset <= self.marker
    }
}
