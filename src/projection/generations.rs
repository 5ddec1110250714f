//! The part of the port that knows the generations of a view: to build one beside the live one, and to
//! exchange them.
//!
//! What an adapter promises:
//!
//! * Only one process at a time has the [claim](Generations::claim) to build, and a process that dies loses
//!   it.
//! * An [exchange](Hold::exchange) changes one row. Who reads begins with that row, so a query sees one
//!   generation or the other and never parts of both.
//! * While the live generation is [held](Generations::hold), nothing moves in it, and queries are answered.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::batch::Batch;
use super::error::ViewError;
use super::tables::Shape;
use super::views::{Applied, Generation, Progress, Reading, SourcePartition};
use crate::position::{Offset, Partition, Sequence};

/// Keeps every other process from building generations of the same view until it is dropped.
pub trait Claim: Send + Sync {}

/// The generations of views. The live one has a number; those above it are unfinished, those below it were
/// replaced.
#[async_trait]
pub trait Generations: Send + Sync {
    /// Those of a view that there are, ascending.
    async fn list(&self, view: &str) -> Result<Vec<Generation>, ViewError>;
    /// The live one, whatever its shape.
    async fn live(&self, view: &str) -> Result<Generation, ViewError>;
    /// Takes the claim to build; [`ViewError::Claimed`] if another process has it.
    async fn claim(&self, view: &str) -> Result<Box<dyn Claim>, ViewError>;
    /// Makes one without rows. There must be none of this number.
    async fn make(
        &self,
        shape: &Shape,
        generation: Generation,
        partitions: &[SourcePartition],
    ) -> Result<(), ViewError>;
    /// Drops one, which must not be the live one.
    async fn remove(&self, view: &'static str, generation: Generation) -> Result<(), ViewError>;
    /// How far one is. Refuses another shape.
    async fn progress(&self, shape: &Shape, generation: Generation) -> Result<Progress, ViewError>;
    /// Begins to read one at one moment, live or not.
    async fn read(
        &self,
        shape: &Arc<Shape>,
        generation: Generation,
        limit: Duration,
    ) -> Result<Box<dyn Reading>, ViewError>;
    /// Lets nothing be written to the live generation until the hold is dropped. [`ViewError::NotLive`] if
    /// another one is live.
    async fn hold(&self, view: &'static str, live: Generation) -> Result<Box<dyn Hold + '_>, ViewError>;
}

/// Where a generation of any shape stands in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldPosition {
    /// The aggregate whose events it folds.
    pub aggregate: String,
    /// The partition.
    pub partition: Partition,
    /// The next offset to read.
    pub next_offset: Offset,
    /// The sequence of the last event folded.
    pub sequence: Sequence,
}

/// The live generation, standing still.
#[async_trait]
pub trait Hold: Send {
    /// Where it stands.
    fn positions(&self) -> &[HeldPosition];
    /// Does what a batch says that was made for it, as [`ViewStore::apply`](super::ViewStore::apply) does, and ends
    /// the hold.
    async fn apply(self: Box<Self>, batch: &Batch) -> Result<Applied, ViewError>;
    /// Makes another generation the live one.
    async fn exchange(self: Box<Self>, by: Generation) -> Result<(), ViewError>;
}
