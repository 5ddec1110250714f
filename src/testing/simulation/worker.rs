//! One process of a schedule: its lanes, behind its fate.

use std::sync::Arc;

use super::Simulation;
use super::fate::{ProcessFate, Weather};
use crate::aggregate::HandOffTargets;
use crate::aggregate::processor::{ProcessorParts, ProcessorSettings};
use crate::clock::Clock;
use crate::lane::{LaneError, Lanes, PartitionState};
use crate::log::Log;
use crate::saga::SagaSettings;
use crate::testing::faults::Faults;

/// A process that lives, or has stopped and is not yet buried.
pub(super) struct Worker {
    pub name: &'static str,
    pub fate: Arc<ProcessFate>,
    faults: Faults,
    lanes: Vec<Lanes>,
}

impl Worker {
    /// Starts a process of this name. Its fate may be that it does not get up.
    pub fn start(
        of: &Simulation,
        log: &Arc<dyn Log>,
        weather: &Arc<Weather>,
        name: &'static str,
        settings: ProcessorSettings,
    ) -> Self {
        let fate = Arc::new(ProcessFate::new(weather.clone(), name.to_owned()));
        let faults = Faults::by(fate.clone());
        let mut worker = Self { name, fate, faults, lanes: Vec::new() };
        if worker.start_lanes(of, log, settings).is_err() {
            worker.kill();
        }
        worker
    }

    fn start_lanes(
        &mut self,
        of: &Simulation,
        log: &Arc<dyn Log>,
        settings: ProcessorSettings,
    ) -> Result<(), LaneError> {
        let mut targets = HandOffTargets::new(of.topology.partitions);
        of.aggregates.iter().for_each(|aggregate| aggregate.add_to(&mut targets));
        of.sagas.iter().for_each(|saga| saga.add_to(&mut targets));
        let parts = ProcessorParts {
            log: self.faults.before(log.clone()),
            topology: of.topology.clone(),
            targets,
            clock: Clock::system(),
            settings,
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
        self.faults.crashed() || self.lanes.iter().any(Lanes::has_ended)
    }

    /// Stops it where it is.
    pub fn kill(&self) {
        self.faults.crash();
    }

    /// Lets it finish what it is at, and leave.
    pub fn drain(&mut self) {
        self.lanes.iter().for_each(Lanes::stop);
        for lanes in self.lanes.drain(..) {
            // Where it could not, the next process finds out what is in the log.
            drop(lanes.join());
        }
        self.kill();
    }

    /// A partition that refuses to go on, which only corruption leads to.
    pub fn refusal(&self) -> Option<String> {
        if self.faults.crashed() {
            return None;
        }
        let stopped = |state| if let PartitionState::Stopped(reason) = state { Some(reason) } else { None };
        self.lanes.iter().find_map(|lanes| lanes.partitions().into_values().find_map(stopped))
    }
}
