//! A rebuild from beginning to end: build, compare if asked, exchange.

use std::sync::Arc;

use serde::Serialize;

use crate::projection::rebuild::{Rebuild, Told};
use crate::projection::worker::{WorkerParts, WorkerSettings};
use crate::projection::{Generation, Projection, RebuildError, Views};
use crate::verify::{self, TableComparison};

/// How a view is to be rebuilt.
pub struct RebuildWish {
    /// Goes on with an unfinished generation.
    pub resume: bool,
    /// Compares it with the live one, and takes its place only if they are equal.
    pub compare: bool,
    /// How many partitions are folded side by side; one for each core if nothing is said.
    pub jobs: Option<usize>,
    /// Told how many offsets there are to fold, once.
    pub total: Box<dyn Fn(u64) + Send + Sync>,
    /// Told how many more were folded.
    pub folded: Told,
}

/// What a rebuild came to.
#[derive(Clone, Debug, Serialize)]
pub struct Rebuilt {
    /// The view.
    pub view: &'static str,
    /// The generation that was live.
    pub before: Generation,
    /// The one that was built.
    pub generation: Generation,
    /// How many events it holds.
    pub events: i64,
    /// How many aggregates are parked in it.
    pub parked: u64,
    /// The tables of both, if they were compared.
    pub tables: Option<Vec<TableComparison>>,
    /// Whether it is the live one now.
    pub is_live: bool,
}

/// Rebuilds the view of a projection.
pub(super) async fn rebuild<P: Projection>(
    projection: &Arc<P>,
    views: &Views,
    parts: WorkerParts,
    wish: RebuildWish,
) -> Result<Rebuilt, RebuildError> {
    let RebuildWish { resume, compare, jobs, total, folded } = wish;
    let (projection, settings) = (projection.clone(), WorkerSettings::default());
    let rebuild = if resume {
        Rebuild::resume(projection, views, parts, settings).await?
    } else {
        Rebuild::begin(projection, views, parts, settings).await?
    };
    let rebuild = jobs.into_iter().fold(rebuild, Rebuild::jobs).telling(folded);
    total(rebuild.left().await?);
    let tables = if compare { Some(compared(&rebuild).await?) } else { None };
    let is_live = tables.iter().flatten().all(TableComparison::is_equal);
    if is_live {
        rebuild.catch_up().await?;
    }
    let progress = rebuild.progress().await?;
    let (before, generation) = (rebuild.live(), rebuild.generation());
    if is_live {
        rebuild.exchange().await?;
    }
    let events = progress.positions.iter().map(|at| at.sequence.0).sum();
    Ok(Rebuilt { view: P::NAME, before, generation, events, parked: progress.parked, tables, is_live })
}

async fn compared<P: Projection>(rebuild: &Rebuild<P>) -> Result<Vec<TableComparison>, RebuildError> {
    let (mut live, mut new) = rebuild.side_by_side().await?;
    Ok(verify::compare(rebuild.shape(), live.as_mut(), new.as_mut()).await?)
}
