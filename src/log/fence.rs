//! The fence that keeps a stale owner out.
//!
//! A worker that is paused, cut off or evicted may still believe that it owns its partitions. What it
//! decides then must never be committed. So every transaction carries consumer offsets, and with them the
//! group's generation at the moment when the batch was handed over: the group's coordinator refuses offsets
//! of an earlier generation, and with them the whole transaction. The lane takes the fence in the same step
//! in which it checks that its batch belongs to the present assignment.
//!
//! The other half is the writer's own: opening a writer under an id ends whatever an earlier one of that id
//! left open, and shuts it out.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// Proof of group membership at one moment, to be sent with offsets. Taken from
/// [`Member::fence`](super::Member::fence); a later generation makes it worthless.
#[derive(Clone)]
pub struct Fence {
    /// The group.
    pub group: String,
    /// The group's generation when it was taken.
    pub generation: i32,
    /// What the adapter needs besides.
    pub token: Arc<dyn Any + Send + Sync>,
}

impl fmt::Debug for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.group, self.generation)
    }
}
