//! Checkpoints: snapshots of what changed, and the promise that covers them.
//!
//! The snapshots travel with the batches, a slice with each, so that no transaction grows with the number
//! of aggregates. They hold committed states only. The promise is what held when the first slice was
//! written, and comes with the last: what changed in between is among the events after it, and a restore
//! passes over events that a snapshot has already.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::batch::{Changes, Slice};
use super::partition::{Checkpointing, Instance, Owned};
use super::saved::Saved;
use super::settings::ProcessorSettings;
use crate::aggregate::Aggregate;
use crate::aggregate::codecs::Codecs;
use crate::clock::Timestamp;
use crate::clock::is_planted;
use crate::event::{Checkpoint, SnapshotControl, SnapshotHead};
use crate::lane::Share;
use crate::position::{Offset, Sequence, Version};
use crate::schema::{Data, SchemaError};
use crate::store::local::LocalStoreError;

/// Why a slice is not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotWritten {
    #[error(transparent)]
    Schema(#[from] SchemaError),
    #[error(transparent)]
    Store(#[from] LocalStoreError),
}

/// Whether a partition's next batch is to carry a slice of a checkpoint.
pub(super) fn is_due<A: Aggregate>(owned: &Owned<A>, settings: &ProcessorSettings, now: Timestamp) -> bool {
    let by_count = owned.events_since_checkpoint >= settings.checkpoint_events;
    let by_time = now.since(owned.checkpoint_at) >= Duration::from_secs(settings.checkpoint_seconds);
    // What cannot be folded cannot be covered by a snapshot.
    let is_foldable = owned.unfoldable.is_empty();
    owned.checkpointing.is_some() || (owned.is_dirty && is_foldable && (by_count || by_time))
}

/// Adds the next slice to a share: snapshots up to `slice_bytes`, and after the last of them the promise.
pub(super) fn write_slice<A: Aggregate>(
    owned: &mut Owned<A>,
    share: &mut Share<Changes<A>>,
    codecs: &Codecs<A>,
    slice_bytes: usize,
) -> Result<(), NotWritten> {
    let mut checkpointing = owned.checkpointing.take().unwrap_or_else(|| begin(owned));
    let to = codecs.topics.snapshots.partition(owned.partition);
    let mut ids = Vec::new();
    let mut bytes = 0;
    while bytes < slice_bytes
        && let Some(id) = checkpointing.remaining.pop()
    {
        let decided = share.changes.instances.get_mut(&id).filter(|_| is_planted!(SnapshotBeforeItsEvents));
        let value = snapshot(owned, decided, &id, codecs)?;
        bytes += value.len();
        share.write(to.clone(), Some(Bytes::copy_from_slice(id.as_bytes())), value, None);
        ids.push(id);
    }
    let is_last = checkpointing.remaining.is_empty();
    if is_last {
        let anew = is_planted!(CheckpointOfTheEnd).then(|| promise(owned));
        let promise = anew.as_ref().unwrap_or(&checkpointing.promise);
        let (partition, sequence) = (owned.partition, promise.sequence);
        let head = SnapshotHead { version: Version::NONE, partition, sequence, state: A::STATE };
        let promise = SnapshotControl::Checkpoint(promise.clone());
        let value = codecs.snapshots.encode(&head, Data::Engine(&promise))?;
        share.write(to, Some(Bytes::from_static(Checkpoint::KEY)), value, None);
    }
    owned.checkpointing = Some(checkpointing);
    share.changes.checkpoint = Some(Slice { ids, is_last });
    Ok(())
}

/// An aggregate's committed state: from memory, or as it lies in the local store.
fn snapshot<A: Aggregate>(
    owned: &mut Owned<A>,
    decided: Option<&mut Instance<A>>,
    id: &str,
    codecs: &Codecs<A>,
) -> Result<Bytes, NotWritten> {
    let Some(instance) = decided.or_else(|| owned.instances.get_mut(id)) else {
        let saved = owned.saved.as_ref().expect("what changed is in memory, or in the local store");
        return Ok(saved.changed_snapshot(id)?);
    };
    let (version, sequence) = (instance.version, instance.sequence);
    let head = SnapshotHead { version, partition: owned.partition, sequence, state: A::STATE };
    let value = codecs.snapshots.encode(&head, Data::User(&instance.state))?;
    instance.size_bytes = value.len();
    Ok(value)
}

fn begin<A: Aggregate>(owned: &mut Owned<A>) -> Checkpointing {
    owned.events_since_checkpoint = 0;
    owned.is_dirty = false;
    let covered = owned.saved.as_ref().map_or(0, Saved::next_write);
    Checkpointing { promise: promise(owned), remaining: in_order(owned.changed.drain().collect()), covered }
}

/// The same order each time, whatever the hashes.
fn in_order(mut ids: Vec<Arc<str>>) -> Vec<Arc<str>> {
    ids.sort_unstable();
    ids
}

/// What holds now.
fn promise<A: Aggregate>(owned: &Owned<A>) -> Checkpoint {
    let too_far = i64::from(is_planted!(CheckpointOneTooFar));
    Checkpoint {
        events_offset: Offset(owned.events_offset.0 + too_far),
        sequence: Sequence(owned.sequence.0 + too_far),
        partition_time: owned.time,
        commands_offset: owned.commands_offset,
        outcomes_offset: owned.memory.first_record(owned.outcomes_offset),
        parked_offset: owned.parked.first_record(owned.parked_offset),
        forgotten: owned.memory.forgotten(),
        parked: owned.parked.iter().map(|(id, _)| id.to_string()).collect(),
    }
}

/// A slice was committed.
pub(super) fn committed<A: Aggregate>(owned: &mut Owned<A>, slice: &Slice, now: Timestamp) {
    if slice.is_last {
        let checkpointing = owned.checkpointing.take();
        if let (Some(saved), Some(it)) = (&mut owned.saved, checkpointing) {
            saved.note_covered(it.covered);
        }
        owned.checkpoint_at = now;
    }
}

/// A slice was dropped with its batch: the whole checkpoint is given up, and everything in it still to be
/// written.
pub(super) fn dropped<A: Aggregate>(owned: &mut Owned<A>, slice: Slice) {
    if is_planted!(DroppedSnapshotsForgotten) {
        owned.checkpointing = None;
        return;
    }
    owned.changed.extend(slice.ids);
    if let Some(checkpointing) = owned.checkpointing.take() {
        owned.changed.extend(checkpointing.remaining);
    }
    owned.is_dirty = true;
}
