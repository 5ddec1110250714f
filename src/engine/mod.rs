//! The engine put together: an application's parts without their types, connected to a log, a registry
//! and a database.
//!
//! An [`Application`] says what there is; an [`Engine`] is it, connected; [`Roles`] are its workers in
//! this process. Behind this door everything goes by name, so that the faces (command line, gateway)
//! know no application's types.

mod aggregate;
mod calls;
mod connect;
mod demo;
pub mod doctor;
mod events;
mod feeds;
pub mod health;
mod input;
mod instance;
mod instances;
mod invariant;
mod lag;
mod outcome;
mod parked;
mod prepare;
mod projection;
mod query;
mod readers;
mod rebuild;
mod roles;
mod saga;
mod scan;
pub mod schemas;
mod soundness;
pub mod topics;
mod verify;
mod working;

use std::sync::Arc;

pub use aggregate::{AggregateGate, AggregateType, of as aggregate};
pub use calls::{CallError, Calls, Judged, SendOptions};
pub use connect::{Engine, EngineError, Place};
pub use demo::{Demo, Ending, EventCounts, Stage, StoryError};
pub use events::{EventRow, EventsError, Fold};
pub use feeds::{FeedError, FeedEvent, Feeds, Start, Subscription};
pub use health::Health;
pub use input::{BadInput, CommandInput, suggest};
pub use instances::SagasError;
pub use invariant::{InvariantType, of as invariant};
pub use lag::{GroupLag, LagError};
pub use outcome::{LookUp, LookUpError};
pub use parked::{ParkedRow, WaitingRow};
pub use prepare::PrepareError;
pub use projection::{ProjectionType, of as projection};
pub use query::{AskError, QueryType, of as query, pointer_of};
pub use readers::ReadersError;
pub use rebuild::{RebuildWish, Rebuilt};
pub use roles::{Role, RoleError, Roles};
pub use saga::{InstanceError, InstanceRow, SagaGate, SagaType, StepRow, of as saga};
pub use scan::{Inspected, Until, scan};
pub use soundness::ApplicationError;
pub(crate) use verify::Commands;
pub use working::{CatchUpError, Working};

/// What an application consists of.
pub struct Application {
    /// Its name.
    pub name: &'static str,
    /// Its aggregates.
    pub aggregates: Vec<Arc<dyn AggregateType>>,
    /// Its sagas.
    pub sagas: Vec<Arc<dyn SagaType>>,
    /// Its projections.
    pub projections: Vec<Arc<dyn ProjectionType>>,
    /// Its queries.
    pub queries: Vec<Arc<dyn QueryType>>,
    /// What it holds to be true of its events.
    pub invariants: Vec<Arc<dyn InvariantType>>,
    /// What its `demo` shows.
    pub demo: Option<Arc<dyn Demo>>,
}

impl Application {
    /// An application of this name, without parts.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            aggregates: Vec::new(),
            sagas: Vec::new(),
            projections: Vec::new(),
            queries: Vec::new(),
            invariants: Vec::new(),
            demo: None,
        }
    }

    /// The projection of this name.
    pub fn find_projection(&self, name: &str) -> Result<&Arc<dyn ProjectionType>, BadInput> {
        self.projections.iter().find(|projection| projection.name() == name).ok_or_else(|| {
            let hint = suggest(name, self.projections.iter().map(|projection| projection.name()));
            BadInput::at("", format!("there is no projection {name:?}{hint}"))
        })
    }

    /// The query of this name.
    pub fn find_query(&self, name: &str) -> Result<&Arc<dyn QueryType>, BadInput> {
        self.queries.iter().find(|query| query.name() == name).ok_or_else(|| {
            let hint = suggest(name, self.queries.iter().map(|query| query.name()));
            BadInput::at("", format!("there is no query {name:?}{hint}"))
        })
    }
}
