//! Sagas: events, outcomes and deadlines in, commands out. An aggregate on its head.
//!
//! A [`Saga`] is one long piece of business across aggregates, written as a pure function: `correlate`
//! says which instance an event belongs to, `react` what follows. The engine does the rest: inputs,
//! the new state and the commands that follow go into one transaction; a command is written once,
//! under an id derived from the saga and the step, and its outcome comes back as an input.

mod codecs;
mod context;
mod delivery;
mod error;
mod input;
mod processor;
mod reaction;
mod records;
mod router;
mod settings;

use std::fmt::Debug;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use codecs::SagaCodecs;
pub use context::{SagaContext, SagaId};
pub(crate) use delivery::Delivery;
pub use input::Input;
pub(crate) use processor::command_id;
pub use reaction::{DeadlineChange, IssuedCommand, Reaction, StepKind};
pub use records::{Ended, Routed, StateControl, StateHead, UnderWay};
pub use settings::SagaSettings;

use crate::aggregate::processor::ProcessorParts;
use crate::event::Recorded;
use crate::lane::{LaneError, Lanes};
use crate::projection::{EventSource, Source};
use crate::schema::Message;

/// The events that a saga takes in.
pub type SourceEvent<S> = <<S as Saga>::Source as Source>::Event;

/// A long piece of business across aggregates, with deadlines and compensation.
///
/// The value is the state of one instance; its `Default` is the state before the first event. One
/// instance takes its inputs one after the other.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a saga",
    note = "implement `headwater::Saga` for its state: NAME, Source, Step, correlate and react"
)]
pub trait Saga: Message + Default {
    /// The type's name, in topics and on the command line: lower case letters, digits and `_`.
    const NAME: &'static str;
    /// Raise it when `react` or the state changes its meaning.
    const STATE: i32 = 1;
    /// Whose events it takes in: an aggregate, or a tuple of aggregates.
    type Source: EventSource;
    /// Names a command under way, so that its outcome is known by it: an enum without fields, mostly.
    type Step: Serialize + DeserializeOwned + Clone + Debug + PartialEq + Send + 'static;

    /// The instance that an event belongs to; `None` if it is no business of this saga.
    fn correlate(event: &Recorded<SourceEvent<Self>>) -> Option<SagaId>;

    /// Takes one input in: changes the state and says what follows. A first input that changes nothing and is
    /// followed by nothing begins no instance. One that panics stops its partition. Pure: no clock, no I/O, no
    /// randomness. Total: an input that comes too late or twice is answered with
    /// [`Reaction::none`].
    fn react(&mut self, input: Input<Self>, at: &SagaContext<'_>) -> Reaction<Self>;
}

/// Starts a saga: its processor, and a router for each aggregate whose events it takes in.
///
/// # Errors
/// If the log is away, or does not let this process join.
pub fn start<S: Saga>(
    codecs: &Arc<SagaCodecs<S>>,
    parts: &ProcessorParts,
    settings: &SagaSettings,
) -> Result<Vec<Lanes>, LaneError> {
    let mut started = vec![processor::start(codecs, parts, settings)?];
    for source in 0..codecs.sources.len() {
        started.push(router::start(codecs, source, parts, settings)?);
    }
    Ok(started)
}
