//! Audits all of an application: every aggregate's topics, and every view.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::{AggregateGate, Engine};
use crate::command::CommandHead;
use crate::log::{Record, Topic};
use crate::verify::{CommandHeads, Database, Findings, Report, Scope, VerifyError};

impl Engine {
    /// Holds the log and the views to what must always hold; `progress` is told how many more records were
    /// read. Workers may go on meanwhile. Blocks; `runtime` is where the database of the views is spoken
    /// to.
    pub fn verify(&self, runtime: &Handle, progress: &dyn Fn(u64)) -> Result<Report, VerifyError> {
        let stall = Duration::from_secs(self.settings.processor.stall_seconds);
        let scope = Scope { log: self.log.as_ref(), topology: &self.topology, stall, progress };
        let mut findings = Findings::default();
        let projections = &self.app.projections;
        // A database that is away is told before the log is read, not after.
        let views = if projections.is_empty() { None } else { Some(runtime.block_on(self.views())?) };
        let audited = self.aggregates.iter().map(|aggregate| aggregate.verify(&scope, &mut findings));
        let aggregates = audited.collect::<Result<Vec<_>, VerifyError>>()?;
        let commands = Commands(&self.aggregates);
        let audited = self.sagas.iter().map(|saga| saga.verify(&scope, &commands, &mut findings));
        let sagas = audited.collect::<Result<Vec<_>, VerifyError>>()?;
        let mut counts = Vec::new();
        if let Some(views) = views {
            let on = Database { log: &self.log, views, runtime, registry: &self.registry };
            for projection in projections {
                counts.push(projection.verify(&scope, &on, &mut findings)?);
            }
        }
        let invariants = self.app.invariants.iter();
        let invariants = invariants.map(|invariant| invariant.verify(&scope, &self.registry, &mut findings));
        let invariants = invariants.collect::<Result<Vec<_>, VerifyError>>()?;
        Ok(Report::new(findings, aggregates, sagas, counts, invariants))
    }
}

/// The commands of all aggregates.
pub(crate) struct Commands<'a>(pub &'a [Arc<dyn AggregateGate>]);

impl CommandHeads for Commands<'_> {
    fn topics(&self) -> Vec<Topic> {
        self.0.iter().map(|aggregate| aggregate.topics().commands.clone()).collect()
    }

    fn head(&self, topic: &Topic, record: &Record) -> Option<CommandHead> {
        let aggregate = self.0.iter().find(|aggregate| aggregate.topics().commands == *topic)?;
        aggregate.command_head(record)
    }
}
