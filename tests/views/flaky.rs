//! A database that fails as databases do: before a transaction, or after it when only the answer is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use headwater::projection::{
    Applied, Batch, Generation, Generations, ParkedAggregate, Progress, Reading, Reset, Shape, SourcePartition,
    ViewError, ViewStore, Views,
};

/// Fails every other transaction, by turns before and after it.
pub struct Flaky {
    inner: Views,
    calls: Arc<AtomicUsize>,
}

impl Flaky {
    pub fn over(inner: &Views) -> (Views, Arc<AtomicUsize>) {
        let calls = Arc::new(AtomicUsize::new(0));
        (Views::new(Arc::new(Self { inner: inner.clone(), calls: calls.clone() })), calls)
    }
}

#[async_trait]
impl ViewStore for Flaky {
    async fn open(&self, shape: &Shape, partitions: &[SourcePartition]) -> Result<(), ViewError> {
        self.inner.store().open(shape, partitions).await
    }

    async fn progress(&self, shape: &Shape) -> Result<Progress, ViewError> {
        self.inner.store().progress(shape).await
    }

    async fn parked(
        &self,
        shape: &Shape,
        generation: Generation,
        limit: usize,
    ) -> Result<Vec<ParkedAggregate>, ViewError> {
        self.inner.store().parked(shape, generation, limit).await
    }

    async fn apply(&self, batch: &Batch) -> Result<Applied, ViewError> {
        let lost = || ViewError::Unavailable("the connection is lost".to_owned());
        match self.calls.fetch_add(1, Ordering::SeqCst) % 4 {
            0 => Err(lost()),
            2 => {
                self.inner.store().apply(batch).await?;
                Err(lost())
            }
            _ => self.inner.store().apply(batch).await,
        }
    }

    async fn reset(&self, shape: &Shape, reset: &Reset) -> Result<Applied, ViewError> {
        self.inner.store().reset(shape, reset).await
    }

    fn generations(&self) -> &dyn Generations {
        self.inner.store().generations()
    }

    async fn read(&self, shapes: &[Arc<Shape>], limit: Duration) -> Result<Box<dyn Reading>, ViewError> {
        self.inner.store().read(shapes, limit).await
    }
}
