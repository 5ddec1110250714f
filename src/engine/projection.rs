//! A projection without its type.

use std::sync::Arc;

use async_trait::async_trait;

use super::rebuild::{RebuildWish, Rebuilt};
use crate::projection::parking::{self, Retried};
use crate::projection::replay::{self, Plan, Target};
use crate::projection::worker::{Worker, WorkerParts, WorkerSettings};
use crate::projection::{
    ParkedError, Projection, RebuildError, ReplayError, Shape, ShapeError, Views, WorkerError, shape_of,
};
use crate::verify::{self, Database, Findings, Scope, VerifyError, ViewCounts};

/// A projection type.
#[async_trait]
pub trait ProjectionType: Send + Sync {
    /// The name of its view.
    fn name(&self) -> &'static str;
    /// The shape of its tables.
    fn shape(&self) -> Result<Shape, ShapeError>;
    /// Holds its view to its events. Blocks.
    fn verify(&self, scope: &Scope<'_>, on: &Database<'_>, findings: &mut Findings) -> Result<ViewCounts, VerifyError>;
    /// Starts a worker. To be called within a tokio runtime that lives as long as the worker.
    async fn start(&self, views: &Views, parts: WorkerParts, settings: WorkerSettings) -> Result<Worker, WorkerError>;
    /// Where a replay would set each partition. Changes nothing.
    async fn plan_replay(&self, views: &Views, parts: &WorkerParts, target: &Target) -> Result<Plan, ReplayError>;
    /// Does what a plan says.
    async fn apply_replay(&self, views: &Views, plan: &Plan) -> Result<(), ReplayError>;
    /// Folds the passed-over events of a parked aggregate, all of them or all but the one that failed.
    async fn release(
        &self,
        views: &Views,
        parts: &WorkerParts,
        of: (&str, &str),
        skips: bool,
    ) -> Result<Retried, ParkedError>;
    /// Builds its view anew, beside the live one.
    async fn rebuild(&self, views: &Views, parts: WorkerParts, wish: RebuildWish) -> Result<Rebuilt, RebuildError>;
}

/// A projection without its type.
#[must_use]
pub fn of<P: Projection>(projection: P) -> Arc<dyn ProjectionType> {
    Arc::new(Erased(Arc::new(projection)))
}

struct Erased<P>(Arc<P>);

#[async_trait]
impl<P: Projection> ProjectionType for Erased<P> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn shape(&self) -> Result<Shape, ShapeError> {
        shape_of::<P>()
    }

    fn verify(&self, scope: &Scope<'_>, on: &Database<'_>, findings: &mut Findings) -> Result<ViewCounts, VerifyError> {
        verify::view(scope, on, &*self.0, findings)
    }

    async fn start(&self, views: &Views, parts: WorkerParts, settings: WorkerSettings) -> Result<Worker, WorkerError> {
        Worker::start(self.0.clone(), views, parts, settings).await
    }

    async fn plan_replay(&self, views: &Views, parts: &WorkerParts, target: &Target) -> Result<Plan, ReplayError> {
        replay::plan::<P>(views, parts, target).await
    }

    async fn apply_replay(&self, views: &Views, plan: &Plan) -> Result<(), ReplayError> {
        replay::apply::<P>(views, plan).await
    }

    async fn release(
        &self,
        views: &Views,
        parts: &WorkerParts,
        of: (&str, &str),
        skips: bool,
    ) -> Result<Retried, ParkedError> {
        let settings = WorkerSettings::default();
        if skips {
            parking::skip(&self.0, views, parts, settings, of).await
        } else {
            parking::retry(&self.0, views, parts, settings, of).await
        }
    }

    async fn rebuild(&self, views: &Views, parts: WorkerParts, wish: RebuildWish) -> Result<Rebuilt, RebuildError> {
        super::rebuild::rebuild(&self.0, views, parts, wish).await
    }
}
