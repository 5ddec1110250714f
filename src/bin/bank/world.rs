//! A whole bank in memory, for its tests: its accounts, its sagas, and what is under way between them, which
//! arrives in any order and now and then fails.
//!
//! Whatever happens, money is conserved at every prefix of the log; and once everything has arrived, every
//! saga has ended and nothing is in flight.

use std::collections::BTreeMap;
use std::time::Duration;

use headwater::clock::Timestamp;
use headwater::command::{Accepted, Failure, Outcome, Refused};
use headwater::position::{Offset, Partition, Sequence, Version};
use headwater::saga::{DeadlineChange, Input, Reaction, SagaContext, SagaId, SourceEvent, StepKind};
use headwater::testing::outcomes::{failed, refused};
use headwater::testing::{BEGINNING, Given};
use headwater::{Aggregate, Invariant, Recorded, Refusal, Saga};
use proptest::prelude::*;
use uuid::Uuid;

use crate::account::fixtures::{id, name};
use crate::account::properties::{accounts, wishes};
use crate::account::{Account, AccountCommand, AccountEvent, FLOOR, OpenAccount};
use crate::conservation::Conservation;
use crate::sagas::{Request, Transfer};
use crate::values::{AccountId, Money};

/// What happens next.
#[derive(Clone, Debug)]
pub enum Happening {
    /// A client wishes for something.
    Wish(AccountId, AccountCommand),
    /// One of the things under way arrives, or meets its fate.
    Arrival(usize, Fate),
    /// Minutes pass, and deadlines that are over are noticed.
    Minutes(u64),
}

/// What becomes of something under way.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    /// It arrives.
    Arrives,
    /// It fails without being acted on, if it is a command.
    Fails,
    /// It is skipped by hand, if it is a command.
    Skipped,
}

/// A history of a whole bank of three accounts, in which the money meets every obstacle.
pub fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let fates = prop_oneof![8 => Just(Fate::Arrives), 1 => Just(Fate::Fails), 1 => Just(Fate::Skipped)];
    let happening = prop_oneof![
        5 => (accounts(), wishes()).prop_map(|(account, wish)| Happening::Wish(account, wish)),
        7 => (any::<usize>(), fates).prop_map(|(which, fate)| Happening::Arrival(which, fate)),
        1 => (1..20_u64).prop_map(Happening::Minutes),
    ];
    proptest::collection::vec(happening, 0..120)
}

/// A whole bank.
pub struct World {
    ledgers: Ledgers,
    transfers: Sagas<Transfer>,
    requests: Sagas<Request>,
}

/// The accounts, and everything that happened to them.
struct Ledgers {
    time: Timestamp,
    accounts: BTreeMap<AccountId, Given<Account>>,
    log: Vec<Recorded<AccountEvent>>,
    money: Conservation,
    routed: usize,
}

/// The instances of a saga, and what is under way from and to them.
struct Sagas<S: Saga> {
    instances: BTreeMap<SagaId, Instance<S>>,
    under_way: Vec<(SagaId, Parcel<S>)>,
}

struct Instance<S: Saga> {
    state: S,
    deadline: Option<Timestamp>,
    ended: bool,
}

enum Parcel<S: Saga> {
    Event(Recorded<SourceEvent<S>>),
    Command(Issued<S>),
    Outcome(Issued<S>, Outcome),
}

#[derive(Clone)]
struct Issued<S: Saga> {
    step: S::Step,
    kind: StepKind,
    account: AccountId,
    command: AccountCommand,
}

impl World {
    /// Three accounts, with nothing on them; then all that.
    pub fn after(happenings: Vec<Happening>) -> Self {
        let ledgers = Ledgers {
            time: BEGINNING,
            accounts: BTreeMap::new(),
            log: Vec::new(),
            money: Conservation::default(),
            routed: 0,
        };
        let mut world = Self { ledgers, transfers: Sagas::new(), requests: Sagas::new() };
        for account in ["000001", "000002", "000003"] {
            world.ask(id(account), OpenAccount { name: name(), initial_deposit: None }.into());
        }
        for happening in happenings {
            world.happen(happening);
        }
        world
    }

    /// Everything arrives, and every deadline passes.
    pub fn settled(mut self) -> Self {
        for _ in 0..2 {
            while self.under_way() > 0 {
                self.arrive(0, Fate::Arrives);
            }
            self.happen(Happening::Minutes(31));
        }
        self
    }

    /// Everything that happened to the accounts, in the order in which it did.
    pub fn log(&self) -> &[Recorded<AccountEvent>] {
        &self.ledgers.log
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Wish(account, wish) => self.ask(account, wish),
            Happening::Arrival(which, fate) => {
                if let Some(which) = which.checked_rem(self.under_way()) {
                    self.arrive(which, fate);
                }
            }
            Happening::Minutes(minutes) => {
                self.ledgers.time = self.ledgers.time.plus(Duration::from_mins(minutes));
                self.transfers.notice_deadlines(self.ledgers.time);
                self.requests.notice_deadlines(self.ledgers.time);
            }
        }
    }

    fn under_way(&self) -> usize {
        self.transfers.under_way.len() + self.requests.under_way.len()
    }

    fn arrive(&mut self, which: usize, fate: Fate) {
        match which.checked_sub(self.transfers.under_way.len()) {
            None => self.transfers.arrive(which, fate, &mut self.ledgers),
            Some(which) => self.requests.arrive(which, fate, &mut self.ledgers),
        }
        self.route();
    }

    fn ask(&mut self, account: AccountId, command: AccountCommand) {
        self.ledgers.ask(account, command);
        self.route();
    }

    fn route(&mut self) {
        for event in &self.ledgers.log[self.ledgers.routed..] {
            self.transfers.route(event);
            self.requests.route(event);
        }
        self.ledgers.routed = self.ledgers.log.len();
    }
}

impl Ledgers {
    /// The account judges; money is conserved by whatever it does.
    fn ask(&mut self, account: AccountId, command: AccountCommand) -> Outcome {
        let fresh = || Given::nothing().id(&account.to_string());
        let given = self.accounts.remove(&account).unwrap_or_else(fresh).at(self.time);
        let before = given.history().len();
        let then = given.when(command);
        let refusal = then.judgement().as_ref().err().map(|refusal| (refusal.code(), refusal.to_string()));
        let after = then.into_given();
        for (place, event) in after.history().iter().enumerate().skip(before) {
            let event = self.record(account, place, event.clone());
            assert!(self.money.is_ready(&event), "its cause is missing: {event:?}");
            self.money.fold(&event).unwrap_or_else(|wrong| panic!("{wrong}: {event:?}"));
            self.log.push(event);
        }
        let version = after.version();
        self.accounts.insert(account, after);
        match refusal {
            None => {
                Outcome::Accepted(Accepted { version, partition: Partition(0), sequence: self.sequence(), data: None })
            }
            Some((code, message)) => Outcome::Refused(Refused { code: code.to_owned(), message, version, data: None }),
        }
    }

    fn sequence(&self) -> Sequence {
        Sequence(i64::try_from(self.log.len()).expect("a few"))
    }

    fn record(&self, account: AccountId, place: usize, data: AccountEvent) -> Recorded<AccountEvent> {
        let (sequence, id) = (self.sequence().next(), Uuid::from_u128(self.log.len() as u128));
        Recorded {
            aggregate: Account::NAME,
            aggregate_id: account.to_string(),
            id,
            version: Version(i64::try_from(place).expect("a few")).next(),
            partition: Partition(0),
            sequence,
            offset: Offset(sequence.0),
            occurred_at: self.time,
            causation_id: id,
            correlation_id: id,
            data,
        }
    }
}

impl<S: Saga<Source = Account>> Sagas<S> {
    const fn new() -> Self {
        Self { instances: BTreeMap::new(), under_way: Vec::new() }
    }

    fn route(&mut self, event: &Recorded<AccountEvent>) {
        if let Some(id) = S::correlate(event) {
            self.under_way.push((id, Parcel::Event(event.clone())));
        }
    }

    fn arrive(&mut self, which: usize, fate: Fate, ledgers: &mut Ledgers) {
        let (id, parcel) = self.under_way.remove(which);
        match parcel {
            Parcel::Event(event) => self.take(&id, Input::Event(event), ledgers.time, None),
            Parcel::Outcome(issued, outcome) => {
                let of = issued.step.clone();
                self.take(&id, Input::Outcome { of, outcome }, ledgers.time, Some(issued));
            }
            Parcel::Command(issued) => {
                let outcome = match (fate, issued.kind) {
                    (Fate::Arrives, _) => ledgers.ask(issued.account, issued.command.clone()),
                    (Fate::Skipped, StepKind::Forward) => refused("skipped"),
                    _ => failed(Failure::TooLarge),
                };
                // As the engine does: a compensation is issued anew until it is accepted.
                let again = issued.kind == StepKind::Compensation && !matches!(outcome, Outcome::Accepted(_));
                let next = if again { Parcel::Command(issued) } else { Parcel::Outcome(issued, outcome) };
                self.under_way.push((id, next));
            }
        }
    }

    fn notice_deadlines(&mut self, time: Timestamp) {
        let over: Vec<SagaId> =
            self.instances.iter().filter(|(_, it)| it.is_over_at(time)).map(|(id, _)| id.clone()).collect();
        for id in over {
            self.take(&id, Input::Deadline, time, None);
        }
    }

    fn take(&mut self, id: &SagaId, input: Input<S>, time: Timestamp, answered: Option<Issued<S>>) {
        let fresh = || Instance { state: S::default(), deadline: None, ended: false };
        let instance = self.instances.entry(id.clone()).or_insert_with(fresh);
        if instance.ended {
            return;
        }
        if matches!(input, Input::Deadline) {
            instance.deadline = None;
        }
        let reaction = instance.state.react(input, &SagaContext { id: id.as_str(), time });
        instance.follow(&reaction);
        let issued = reaction.commands().iter().map(|issued| Issued {
            step: issued.step.clone(),
            kind: issued.kind,
            account: issued.command.id.parse().expect("an account id"),
            command: issued.command.command::<Account>().expect("for an account").clone(),
        });
        let again = answered.filter(|_| reaction.retries_after().is_some());
        self.under_way.extend(issued.chain(again).map(|issued| (id.clone(), Parcel::Command(issued))));
    }

    fn all_ended(&self) -> bool {
        self.under_way.is_empty() && self.instances.values().all(|instance| instance.ended)
    }
}

impl<S: Saga> Instance<S> {
    fn is_over_at(&self, time: Timestamp) -> bool {
        !self.ended && self.deadline.is_some_and(|deadline| deadline <= time)
    }

    const fn follow(&mut self, reaction: &Reaction<S>) {
        match reaction.deadline_change() {
            Some(DeadlineChange::At(time)) => self.deadline = Some(time),
            Some(DeadlineChange::Cleared) => self.deadline = None,
            None => {}
        }
        self.ended = reaction.ends();
    }
}

proptest! {
    /// What the ledgers check with every event; and no more than that is left at the end.
    #[test]
    fn money_is_conserved_at_every_prefix_and_every_saga_ends(happenings in happenings()) {
        let world = World::after(happenings).settled();
        prop_assert!(world.transfers.all_ended());
        prop_assert!(world.requests.all_ended());
        prop_assert_eq!(world.ledgers.money.flying(), Money::ZERO);
    }

    #[test]
    fn no_debit_of_the_bank_leads_below_the_floor(happenings in happenings()) {
        for movement in World::after(happenings).log().iter().filter_map(|event| event.data.movement()) {
            prop_assert!(movement.change() > Money::ZERO || movement.balance >= FLOOR, "{movement:?}");
        }
    }
}

/// How often each thing happened in many histories: that the properties above are about something.
#[test]
fn histories_reach_every_event() {
    use headwater::schema::{Message, json};
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let mut counts: BTreeMap<&str, u32> = AccountEvent::SCHEMAS.iter().map(|schema| (schema.name, 0)).collect();
    for _ in 0..100 {
        let happenings = happenings().new_tree(&mut runner).expect("a history").current();
        for event in World::after(happenings).settled().log() {
            *counts.get_mut(json::to_json(&event.data, json::Secrets::Shown).expect("JSON").name).expect("an event") +=
                1;
        }
    }
    assert!(counts.values().all(|count| *count > 0), "{counts:?}");
}
