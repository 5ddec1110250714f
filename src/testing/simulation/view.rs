//! The views of a schedule: held to the fold of their events, reset, and waited for.

use std::sync::Arc;
use std::time::Duration;

use super::Simulation;
use super::database::{Database, patiently};
use super::model::read_on;
use super::trace::Trace;
use crate::clock::{Clock, Seeded};
use crate::engine::ProjectionType;
use crate::log::{Log, Reader};
use crate::projection::replay::Target;
use crate::projection::worker::{WorkerParts, WorkerSettings};
use crate::projection::{Progress, Shape, ViewError};
use crate::verify::{self, Findings, Scope, VerifyError};

/// Batches small enough that a schedule has many, and patience that a slow database outlasts.
pub(super) fn small(dice: &mut Seeded) -> WorkerSettings {
    WorkerSettings {
        poll_events: [3, 20][dice.index(2)],
        batch_events: [4, 50][dice.index(2)],
        attempts: 2,
        reset_check: Duration::from_secs(2),
        retry: (Duration::from_millis(50), Duration::from_secs(2)),
        transaction_limit: Duration::from_secs(8),
        hand_over: Duration::from_secs(2),
        ..WorkerSettings::default()
    }
}

pub(super) fn parts(of: &Simulation, log: &Arc<dyn Log>, instance: Option<&str>) -> WorkerParts {
    WorkerParts {
        log: log.clone(),
        registry: of.registry.clone(),
        topology: of.topology.clone(),
        clock: Clock::system(),
        instance: instance.map(str::to_owned),
    }
}

/// One view of a schedule.
pub(super) struct View {
    projection: Arc<dyn ProjectionType>,
    shape: Shape,
    /// How far it was when it was last looked at.
    seen: Progress,
}

impl View {
    pub fn new(projection: &Arc<dyn ProjectionType>) -> Result<Self, String> {
        let shape = projection.shape().map_err(|error| error.to_string())?;
        Ok(Self { projection: projection.clone(), shape, seen: Progress::default() })
    }

    pub fn name(&self) -> &'static str {
        self.projection.name()
    }

    /// Whether somebody has made it.
    pub fn exists(&self) -> bool {
        !self.seen.positions.is_empty()
    }

    /// Whether it has moved since this was last asked.
    fn has_moved(&mut self, on: &Database) -> Result<bool, String> {
        match on.progress_of(&self.shape) {
            Ok(progress) if progress == self.seen => Ok(false),
            Ok(progress) => {
                self.seen = progress;
                Ok(true)
            }
            // Nobody has made it yet.
            Err(ViewError::Missing { .. }) => Ok(false),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Holds it to the fold of its events, up to where it is, if it has moved.
    pub fn check(
        &mut self,
        of: &Simulation,
        log: &Arc<dyn Log>,
        on: &Database,
        trace: &Trace,
        stall: Duration,
    ) -> Result<(), String> {
        if !self.has_moved(on)? {
            return Ok(());
        }
        trace.note((self.name(), &self.seen));
        let scope = Scope { log: &**log, topology: &of.topology, stall, progress: &|_| {} };
        let database =
            verify::Database { log, views: on.views(), runtime: on.runtime.handle(), registry: &of.registry };
        let verify = || {
            let mut findings = Findings::default();
            self.projection.verify(&scope, &database, &mut findings).map(|_| findings)
        };
        let findings = patiently(verify, VerifyError::is_temporary).map_err(|error| error.to_string())?;
        findings.violations().first().map_or(Ok(()), |first| Err(first.to_string()))
    }

    /// Sets it back to its first event.
    pub fn replay(&self, of: &Simulation, log: &Arc<dyn Log>, on: &Database) -> Result<(), String> {
        let (views, parts) = (on.views(), parts(of, log, None));
        let replay = async {
            let plan = self.projection.plan_replay(views, &parts, &Target::Earliest).await?;
            self.projection.apply_replay(views, &plan).await
        };
        on.runtime.block_on(replay).map_err(|error| error.to_string())
    }

    /// Where it is not yet at the end of its events.
    pub fn open_work(&self, of: &Simulation, log: &dyn Log, reader: &mut dyn Reader) -> Result<Option<String>, String> {
        let view = self.name();
        for source in self.shape.partitions(of.topology.partitions) {
            let place = self.shape.place(&of.topology, source);
            let Some(at) = self.seen.positions.iter().find(|at| at.source == source) else {
                return Ok(Some(format!("nobody has made view {view}")));
            };
            let mut next = at.next_offset;
            let left = read_on(log, reader, &place, &mut next).map_err(|error| error.to_string())?;
            if let Some(record) = left.first() {
                return Ok(Some(format!("view {view} stands before {place} offset {}", record.offset)));
            }
        }
        Ok(None)
    }
}
