//! One instance given its inputs again.

use uuid::Uuid;

use super::issued::Issued;
use crate::clock::Timestamp;
use crate::command::{EventInput, InboxData, InboxInput, OutcomeInput};
use crate::log::Record;
use crate::saga::{DeadlineChange, Delivery, Input, Saga, SagaCodecs, SagaContext, StateHead, StepKind, command_id};

/// What an instance came to, as far as its inputs say it.
#[derive(Clone)]
pub(super) struct Replay<S> {
    id: Box<str>,
    state: S,
    steps: i64,
    deadline: Option<Timestamp>,
    is_ending: bool,
    under_way: Vec<Awaited>,
    /// Every command that it must have issued.
    commands: Vec<Step>,
}

/// A step whose end is awaited.
#[derive(Clone)]
struct Awaited {
    step: Step,
    kind: StepKind,
    aggregate: String,
    aggregate_id: String,
    /// Whether it is to be issued anew.
    waits: bool,
}

/// A command that was to be issued.
#[derive(Clone)]
struct Step {
    number: i64,
    name: String,
    attempt: i32,
    command_id: Uuid,
}

impl<S: Saga> Replay<S> {
    pub fn new(id: &str) -> Self {
        let (under_way, commands) = (Vec::new(), Vec::new());
        Self { id: id.into(), state: S::default(), steps: 0, deadline: None, is_ending: false, under_way, commands }
    }

    /// As it would be if it had been told that its time is over; `None` if it has no deadline.
    pub fn after_deadline(&self) -> Option<Self> {
        let (deadline, mut told) = (self.deadline?, self.clone());
        told.deadline = None;
        told.react(Input::Deadline, None, deadline);
        Some(told)
    }

    /// Takes an input in as the worker does. `Err` where no worker could.
    pub fn take(
        &mut self,
        codecs: &SagaCodecs<S>,
        record: &Record,
        input: &InboxInput,
        time: Timestamp,
        issued: &Issued,
    ) -> Result<(), String> {
        self.reissue(issued);
        match &input.data {
            InboxData::EventInput(_) if self.is_ending => {}
            InboxData::EventInput(event) => self.take_event(codecs, record, event, time)?,
            InboxData::OutcomeInput(outcome) => self.take_outcome(outcome, time)?,
            InboxData::Wake(_) => {}
        }
        self.reissue(issued);
        Ok(())
    }

    fn take_event(
        &mut self,
        codecs: &SagaCodecs<S>,
        record: &Record,
        event: &EventInput,
        time: Timestamp,
    ) -> Result<(), String> {
        let foreign = || format!("{} takes no events of {} in", S::NAME, event.aggregate);
        let event = codecs.event(event, record).ok_or_else(foreign)?;
        let event = event.map_err(|error| format!("its event cannot be read: {error:?}"))?;
        self.react(Input::Event(event), None, time);
        Ok(())
    }

    fn take_outcome(&mut self, input: &OutcomeInput, time: Timestamp) -> Result<(), String> {
        let is_it = |awaited: &Awaited| {
            let asked = awaited.step.command_id == input.command_id && !awaited.waits;
            asked && awaited.aggregate == input.aggregate && awaited.aggregate_id == input.aggregate_id
        };
        let Some(place) = self.under_way.iter().position(is_it) else { return Ok(()) };
        let mut awaited = self.under_way.remove(place);
        match Delivery::of(awaited.kind, input.outcome.clone()) {
            Delivery::Reissue => {
                awaited.waits = true;
                self.under_way.push(awaited);
            }
            Delivery::Input(_) if self.is_ending => {}
            Delivery::Input(outcome) => {
                let name = &awaited.step.name;
                let of = serde_json::from_str(name).map_err(|error| format!("{name} is no step: {error}"))?;
                self.react(Input::Outcome { of, outcome }, Some(awaited), time);
            }
        }
        Ok(())
    }

    fn react(&mut self, input: Input<S>, answered: Option<Awaited>, time: Timestamp) {
        let reaction = self.state.react(input, &SagaContext { id: &self.id, time });
        let (retry, deadline, ends) = (reaction.retries_after(), reaction.deadline_change(), reaction.ends());
        if let (Some(mut awaited), Some(_)) = (answered, retry) {
            awaited.waits = true;
            self.under_way.push(awaited);
        }
        for issued in reaction.commands() {
            self.steps += 1;
            let name = serde_json::to_string(&issued.step).unwrap_or_default();
            let (aggregate, aggregate_id) = (issued.command.aggregate.to_owned(), issued.command.id.clone());
            let step = Step { number: self.steps, name, attempt: 0, command_id: Uuid::nil() }.next::<S>(&self.id);
            self.commands.push(step.clone());
            self.under_way.push(Awaited { step, kind: issued.kind, aggregate, aggregate_id, waits: false });
        }
        match deadline {
            Some(DeadlineChange::At(time)) => self.deadline = Some(time),
            Some(DeadlineChange::Cleared) => self.deadline = None,
            None => {}
        }
        if ends {
            self.is_ending = true;
            self.deadline = None;
            self.under_way.retain(|awaited| awaited.kind == StepKind::Compensation);
        }
    }

    /// Steps that wait were issued anew if the command of the next attempt is in the log.
    fn reissue(&mut self, issued: &Issued) {
        for awaited in self.under_way.iter_mut().filter(|awaited| awaited.waits) {
            let next = awaited.step.next::<S>(&self.id);
            if issued.has(next.command_id) {
                self.commands.push(next.clone());
                (awaited.step, awaited.waits) = (next, false);
            }
        }
    }

    pub fn has_ended(&self) -> bool {
        self.is_ending && self.under_way.is_empty()
    }

    /// Whether it is as every instance is before its first input: then there is none.
    pub fn is_untouched(&self) -> bool {
        let fresh = !self.is_ending && self.deadline.is_none() && self.steps == 0;
        fresh && serde_json::to_value(&self.state).ok() == serde_json::to_value(S::default()).ok()
    }

    /// The steps whose commands are not in the log.
    pub fn missing<'a>(&'a self, issued: &'a Issued) -> impl Iterator<Item = String> + 'a {
        let missing = self.commands.iter().filter(|step| !issued.has(step.command_id));
        missing.map(|step| format!("step {} {}, attempt {}", step.number, step.name, step.attempt))
    }

    /// How many of its commands in the log do not follow from its inputs.
    pub fn foreign(&self, issued: &Issued) -> usize {
        let known = self.commands.iter().filter(|step| issued.has(step.command_id)).count();
        issued.count_of(&self.id).saturating_sub(known)
    }

    /// Its commands follow from what it took in.
    pub fn claim(&self, issued: &mut Issued) {
        for step in &self.commands {
            issued.claim(step.command_id);
        }
    }

    /// What is wrong with its record. Of an instance that has ended the record may be gone.
    pub fn differs_from(&self, head: Option<&StateHead>) -> Option<String> {
        let Some(head) = head else {
            let is_lost = !self.has_ended() && !self.is_untouched();
            return is_lost.then(|| "is neither open nor ended".to_owned());
        };
        if head.ended_at.is_some() != self.has_ended() {
            let shown = |ended| if ended { "has ended" } else { "is open" };
            let (told, is) = (shown(head.ended_at.is_some()), shown(self.has_ended()));
            return Some(format!("{told} by its record, and {is} by its inputs"));
        }
        if head.steps != self.steps {
            return Some(format!("has issued {} steps by its record, and {} by its inputs", head.steps, self.steps));
        }
        let mut told: Vec<_> = head.under_way.iter().map(|step| (step.command_id, step.retry_at.is_some())).collect();
        let mut is: Vec<_> = self.under_way.iter().map(|awaited| (awaited.step.command_id, awaited.waits)).collect();
        told.sort_unstable();
        is.sort_unstable();
        (told != is).then(|| "waits for other commands by its record than by its inputs".to_owned())
    }
}

impl Step {
    /// The same, issued once more.
    fn next<S: Saga>(&self, id: &str) -> Self {
        let (number, name, attempt) = (self.number, self.name.clone(), self.attempt + 1);
        let command_id = command_id(S::NAME, id, number, &name, attempt);
        Self { number, name, attempt, command_id }
    }
}
