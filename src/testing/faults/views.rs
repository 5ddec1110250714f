//! Faults at the calls to the views' database.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::{Call, Decree, Fault, Faults};
use crate::clock;
use crate::projection::{
    Applied, Batch, Generation, Generations, ParkedAggregate, Progress, Reading, Reset, Shape, SourcePartition,
    ViewError, ViewStore,
};

pub(super) struct FaultyViews {
    pub store: Arc<dyn ViewStore>,
    pub faults: Faults,
}

fn stopped() -> ViewError {
    ViewError::Unavailable("the process has stopped".to_owned())
}

fn planted() -> ViewError {
    ViewError::Unavailable("a planted fault".to_owned())
}

impl FaultyViews {
    async fn call<T>(
        &self,
        call: Call,
        wait: Duration,
        make: impl Future<Output = Result<T, ViewError>>,
    ) -> Result<T, ViewError> {
        clock::sleep(wait / 2).await;
        let answer = match self.faults.struck(call) {
            Decree::Go => make.await,
            Decree::Dead => Err(stopped()),
            Decree::Strike(Fault::CrashBefore) => {
                self.faults.crash();
                Err(stopped())
            }
            Decree::Strike(Fault::CrashAfter) => {
                drop(make.await);
                self.faults.crash();
                Err(stopped())
            }
            Decree::Strike(Fault::Fail) => Err(planted()),
            Decree::Strike(Fault::LoseAnswer) => {
                drop(make.await);
                Err(planted())
            }
        };
        clock::sleep(wait / 2).await;
        if self.faults.crashed() { Err(stopped()) } else { answer }
    }

    async fn asking<T>(&self, make: impl Future<Output = Result<T, ViewError>>) -> Result<T, ViewError> {
        self.faults.wait();
        if self.faults.crashed() { Err(stopped()) } else { make.await }
    }

    /// What reached the database is done there, whether or not anybody waits for it by then.
    async fn apply_late(&self, batch: &Batch, wait: Duration) -> Result<Applied, ViewError> {
        if wait.is_zero() {
            return self.store.apply(batch).await;
        }
        let (answer, answered) = oneshot::channel();
        let (store, batch) = (self.store.clone(), batch.clone());
        let apply = async move {
            clock::sleep(wait).await;
            // Nobody waits any more, perhaps.
            drop(answer.send(store.apply(&batch).await));
        };
        clock::start("database", apply).map_err(|error| ViewError::Failed(error.to_string()))?;
        answered.await.unwrap_or_else(|_| Err(planted()))
    }
}

#[async_trait]
impl ViewStore for FaultyViews {
    async fn open(&self, shape: &Shape, partitions: &[SourcePartition]) -> Result<(), ViewError> {
        let wait = self.faults.stall(Call::OpenView);
        self.call(Call::OpenView, wait, self.store.open(shape, partitions)).await
    }

    async fn progress(&self, shape: &Shape) -> Result<Progress, ViewError> {
        let wait = self.faults.stall(Call::ViewProgress);
        self.call(Call::ViewProgress, wait, self.store.progress(shape)).await
    }

    async fn parked(
        &self,
        shape: &Shape,
        generation: Generation,
        limit: usize,
    ) -> Result<Vec<ParkedAggregate>, ViewError> {
        let wait = self.faults.stall(Call::ViewParked);
        self.call(Call::ViewParked, wait, self.store.parked(shape, generation, limit)).await
    }

    async fn apply(&self, batch: &Batch) -> Result<Applied, ViewError> {
        let wait = self.faults.stall(Call::ApplyToView);
        self.call(Call::ApplyToView, wait / 2, self.apply_late(batch, wait / 2)).await
    }

    async fn reset(&self, shape: &Shape, reset: &Reset) -> Result<Applied, ViewError> {
        self.asking(self.store.reset(shape, reset)).await
    }

    fn generations(&self) -> &dyn Generations {
        self.store.generations()
    }

    async fn read(&self, shapes: &[Arc<Shape>], limit: Duration) -> Result<Box<dyn Reading>, ViewError> {
        self.asking(self.store.read(shapes, limit)).await
    }
}
