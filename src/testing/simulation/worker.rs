//! One process of a schedule: its lanes and its projection workers, behind its fate.

use std::sync::Arc;

use super::Simulation;
use super::database::Database;
use super::fate::{ProcessFate, Weather};
use super::view;
use crate::aggregate::HandOffTargets;
use crate::aggregate::processor::{ProcessorParts, ProcessorSettings};
use crate::clock::{self, Clock};
use crate::lane::{LaneError, Lanes, PartitionState};
use crate::log::Log;
use crate::projection::worker::{Flow, Worker as ViewWorker, WorkerSettings};
use crate::projection::{Views, WorkerError};
use crate::saga::SagaSettings;
use crate::testing::faults::Faults;

/// What the processes of a schedule have around them.
pub(super) struct World {
    pub log: Arc<dyn Log>,
    /// That of the views, if there are any.
    pub database: Option<Arc<Database>>,
    pub weather: Arc<Weather>,
    pub processors: ProcessorSettings,
    pub views: WorkerSettings,
}

/// A process that lives, or has stopped and is not yet buried.
pub(super) struct Worker {
    pub name: &'static str,
    pub fate: Arc<ProcessFate>,
    faults: Faults,
    lanes: Vec<Lanes>,
    views: Vec<ViewWorker>,
}

impl Worker {
    /// Starts a process of this name. Its fate may be that it does not get up.
    pub fn start(of: &Simulation, world: &World, name: &'static str) -> Self {
        let fate = Arc::new(ProcessFate::new(world.weather.clone(), name.to_owned()));
        let faults = Faults::by(fate.clone());
        let mut worker = Self { name, fate, faults, lanes: Vec::new(), views: Vec::new() };
        if worker.start_views(of, world).is_err() || worker.start_lanes(of, world).is_err() {
            worker.kill();
        }
        worker
    }

    fn start_views(&mut self, of: &Simulation, world: &World) -> Result<(), WorkerError> {
        let Some(database) = &world.database else { return Ok(()) };
        let views = Views::new(self.faults.before_views(database.clone()));
        let log = self.faults.before(world.log.clone());
        for projection in &of.projections {
            let parts = view::parts(of, &log, Some(self.name));
            self.views.push(clock::finish(projection.start(&views, parts, world.views))?);
        }
        Ok(())
    }

    fn start_lanes(&mut self, of: &Simulation, world: &World) -> Result<(), LaneError> {
        let mut targets = HandOffTargets::new(of.topology.partitions);
        of.aggregates.iter().for_each(|aggregate| aggregate.add_to(&mut targets));
        of.sagas.iter().for_each(|saga| saga.add_to(&mut targets));
        let parts = ProcessorParts {
            log: self.faults.before(world.log.clone()),
            topology: of.topology.clone(),
            targets,
            clock: Clock::system(),
            settings: world.processors.clone(),
            store: None,
            instance: self.name.to_owned(),
        };
        for aggregate in &of.aggregates {
            self.lanes.push(aggregate.start(&parts)?);
        }
        for saga in &of.sagas {
            self.lanes.extend(saga.start(&parts, &SagaSettings::default())?);
        }
        Ok(())
    }

    /// Whether it goes no further by itself: it was stopped, or a part of it has ended.
    pub fn has_ended(&self) -> bool {
        let ended = self.lanes.iter().any(Lanes::has_ended) || self.views.iter().any(ViewWorker::has_ended);
        ended || self.faults.crashed()
    }

    /// What it waits for, as its readiness says.
    pub fn waits_for(&self) -> Vec<String> {
        let said = self.views.iter().flat_map(|view| view.status().waits_for());
        said.map(|what| format!("{}: {what}", self.name)).collect()
    }

    /// Stops it where it is.
    pub fn kill(&self) {
        self.faults.crash();
    }

    /// Lets it finish what it is at, and leave.
    pub fn drain(&mut self) {
        self.lanes.iter().for_each(Lanes::stop);
        self.views.iter().for_each(ViewWorker::stop);
        for lanes in self.lanes.drain(..) {
            // Where it could not, the next process finds out what is in the log.
            drop(lanes.join());
        }
        for mut view in self.views.drain(..) {
            drop(clock::finish(view.ended()));
        }
        self.kill();
    }

    /// A partition that refuses to go on, which only corruption leads to.
    pub fn refusal(&self) -> Option<String> {
        if self.faults.crashed() {
            return None;
        }
        let stopped = |state| if let PartitionState::Stopped(reason) = state { Some(reason) } else { None };
        let of_lanes = self.lanes.iter().find_map(|lanes| lanes.partitions().into_values().find_map(stopped));
        let stopped = |flow| if let Flow::Stopped(reason) = flow { Some(reason) } else { None };
        let partitions = self.views.iter().flat_map(|view| view.status().partitions);
        of_lanes.or_else(|| partitions.map(|it| it.flow).find_map(stopped))
    }
}
