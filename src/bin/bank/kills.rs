//! The bank's sagas, killed at each of their steps.
//!
//! A process that runs the sagas lives for one transaction and is killed: while it writes, before its commit,
//! after its commit; then the next one starts. So every transaction of a router or of a saga is the last of some
//! process. In the end every saga has come to its end, no step was done twice and none skipped.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use headwater::aggregate::processor::{self, ProcessorParts, ProcessorSettings};
use headwater::aggregate::{Codecs, HandOffTargets};
use headwater::clock::{self, Clock};
use headwater::command::CommandHead;
use headwater::lane::Lanes;
use headwater::log::embedded::EmbeddedLog;
use headwater::log::{Log, Outgoing, RangeReader, Record, Topic};
use headwater::position::{Offset, Partition};
use headwater::saga::{self, SagaCodecs, SagaSettings, StateHead};
use headwater::schema::json::{self, Secrets};
use headwater::schema::{Data, InMemoryRegistry, Registry};
use headwater::testing::faults::{Call, Fault, Faults, Strike};
use headwater::topology::{Topology, partition_of};
use headwater::verify::{self, Findings, Scope};
use headwater::{Aggregate, Saga};

use crate::account::fixtures::{amount, id, name, transaction};
use crate::account::{
    AcceptRequest, Account, AccountCommand, DeleteAccount, OpenAccount, RejectRequest, Request as Ask,
    Transfer as SendMoney,
};
use crate::conservation::Conservation;
use crate::sagas::{Request, Transfer};

const PATIENCE: Duration = Duration::from_mins(3);
const STALL: Duration = Duration::from_mins(1);
const PAYER: &str = "000001";
const PAYEE: &str = "000002";
const LEAVER: &str = "000003";
const NOBODY: &str = "000009";

/// Where a process is killed: in turn, always in its first transaction.
const KILLS: [(Call, Fault); 3] =
    [(Call::Send, Fault::CrashAfter), (Call::Commit, Fault::CrashBefore), (Call::Commit, Fault::CrashAfter)];

/// A bank whose accounts are judged all the time, and whose sagas run where they are told to.
struct Bank {
    clock: Clock,
    log: Arc<dyn Log>,
    topology: Topology,
    registry: Arc<dyn Registry>,
    accounts: Arc<Codecs<Account>>,
    transfers: Arc<SagaCodecs<Transfer>>,
    requests: Arc<SagaCodecs<Request>>,
    targets: HandOffTargets,
    /// Kept running.
    judges: Vec<Lanes>,
}

impl Bank {
    fn open() -> Self {
        let clock = Clock::adjustable();
        let log: Arc<dyn Log> = Arc::new(EmbeddedLog::in_memory(clock.clone()).expect("a log"));
        let week = Duration::from_hours(7 * 24);
        let topology = Topology {
            app: "bank".to_owned(),
            partitions: 2,
            reply_partitions: 1,
            command_retention: week,
            reply_retention: week,
        };
        log.create(&topology.specs(&[Account::NAME], &[Transfer::NAME, Request::NAME])).expect("topics");
        let registry: Arc<dyn Registry> = Arc::new(InMemoryRegistry::default());
        let accounts = Arc::new(Codecs::<Account>::new(&registry, &topology).expect("codecs"));
        let transfers = Arc::new(SagaCodecs::<Transfer>::new(&registry, &topology).expect("codecs"));
        let requests = Arc::new(SagaCodecs::<Request>::new(&registry, &topology).expect("codecs"));
        accounts.register().and_then(|()| transfers.register()).and_then(|()| requests.register()).expect("registered");
        let mut targets = HandOffTargets::new(topology.partitions);
        targets.add(accounts.clone());
        targets.add_inbox(transfers.topics.inbox.clone(), transfers.inbox.clone());
        targets.add_inbox(requests.topics.inbox.clone(), requests.inbox.clone());
        let judges = Vec::new();
        let mut bank = Self { clock, log, topology, registry, accounts, transfers, requests, targets, judges };
        let judges = processor::start(&bank.accounts, &bank.parts(bank.log.clone())).expect("it starts");
        bank.judges.push(judges);
        bank
    }

    /// One input a transaction.
    fn parts(&self, log: Arc<dyn Log>) -> ProcessorParts {
        ProcessorParts {
            log,
            topology: self.topology.clone(),
            targets: self.targets.clone(),
            clock: self.clock.clone(),
            settings: ProcessorSettings { lanes: 1, batch_commands: 1, ..ProcessorSettings::default() },
            store: None,
            instance: "one".to_owned(),
        }
    }

    fn start_sagas(&self, faults: &Faults) -> Option<Vec<Lanes>> {
        let (parts, settings) = (self.parts(faults.before(self.log.clone())), SagaSettings::default());
        let mut lanes = saga::start(&self.transfers, &parts, &settings).ok()?;
        lanes.extend(saga::start(&self.requests, &parts, &settings).ok()?);
        Some(lanes)
    }

    /// Kills one process after the other, so many at most, until something holds; how many.
    fn kill_until(&self, what: &str, most: usize, holds: impl Fn(&Self) -> bool) -> usize {
        let deadline = clock::instant() + PATIENCE;
        for (kills, (call, fault)) in KILLS.into_iter().cycle().enumerate() {
            let strike = (kills < most).then_some(Strike { call, number: 1, fault });
            let faults = Faults::new(strike.into_iter().collect());
            let lanes = self.start_sagas(&faults);
            while lanes.is_some() && !faults.crashed() {
                if holds(self) {
                    return kills;
                }
                assert!(clock::instant() < deadline, "not in time: {what}: {:?}", self.instances());
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        unreachable!("it goes round and round")
    }

    fn tell(&self, account: &str, command: impl Into<AccountCommand>) {
        let command_id = clock::new_id();
        let head = CommandHead {
            id: command_id,
            issued_at: clock::time_of_id(command_id).expect("version 7"),
            expected_version: None,
            causation_id: None,
            correlation_id: command_id,
            reply_to: None,
        };
        let value = self.accounts.commands.encode(&head, Data::User(&command.into())).expect("encodes");
        let record = Outgoing {
            topic: self.accounts.topics.commands.clone(),
            partition: partition_of(account.as_bytes(), self.topology.partitions),
            key: Some(account.to_owned().into_bytes().into()),
            value: Some(value),
            traceparent: None,
        };
        let sender = self.log.sender().expect("a sender");
        sender.send(record, Box::new(|delivered| assert!(delivered.is_ok(), "{delivered:?}"))).expect("room");
        sender.flush(STALL).expect("flushed");
    }

    fn read(&self, topic: &Topic) -> Vec<Record> {
        let mut reader = self.log.reader().expect("a reader");
        let mut records = Vec::new();
        for number in 0..self.topology.partitions {
            let partition = topic.partition(Partition(number));
            let mut range = RangeReader::to_present_end(&*self.log, partition, Offset::ZERO, STALL).expect("bounds");
            while let Some(more) = range.step(&*self.log, &mut *reader).expect("readable") {
                records.extend(more);
            }
        }
        records
    }

    /// What the instances of both sagas say of themselves now, without the version with which each began.
    fn instances(&self) -> BTreeMap<String, StateHead> {
        let mut instances = self.instances_of(&self.transfers);
        instances.extend(self.instances_of(&self.requests));
        instances
    }

    fn instances_of<S: Saga>(&self, codecs: &SagaCodecs<S>) -> BTreeMap<String, StateHead> {
        let records = self.read(&codecs.topics.state).into_iter();
        let named = records.filter(|record| !record.key.as_ref().is_some_and(|key| key.starts_with(b"\0")));
        let head = |record: Record| {
            (without_version(&text(&record)), codecs.state.decode_head(&record.value.expect("open")).expect("a head"))
        };
        named.map(head).collect()
    }

    /// How many events there are of each name.
    fn events(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for record in self.read(&self.accounts.topics.events) {
            match self.accounts.events.decode(&record.value.expect("a value")).expect("an event").data {
                Data::User(event) => {
                    *counts.entry(json::to_json(&event, Secrets::Shown).expect("JSON").name).or_default() += 1;
                }
                Data::Engine(never) => match never {},
            }
        }
        counts
    }

    /// The commands that each instance has issued, by name.
    fn issued(&self) -> BTreeMap<String, Vec<&'static str>> {
        let mut issued: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for record in self.read(&self.accounts.topics.commands) {
            let decoded = self.accounts.commands.decode(&record.value.expect("a value")).expect("a command");
            if let (Some(reply_to), Data::User(command)) = (decoded.head.reply_to, decoded.data) {
                let name = json::to_json(&command, Secrets::Shown).expect("JSON").name;
                issued.entry(without_version(&reply_to.key)).or_default().push(name);
            }
        }
        for names in issued.values_mut() {
            names.sort_unstable();
        }
        issued
    }

    /// What `verify` says of the accounts, of the sagas, and of the money at every prefix.
    fn audit(&self) {
        let scope = Scope { log: &*self.log, topology: &self.topology, stall: STALL, progress: &|_| {} };
        let mut findings = Findings::default();
        let counts = verify::aggregate(&scope, &self.accounts, &mut findings).expect("audited");
        verify::saga(&scope, &self.transfers, &*self.accounts, &mut findings).expect("audited");
        verify::saga(&scope, &self.requests, &*self.accounts, &mut findings).expect("audited");
        verify::invariant::<Conservation>(&scope, &self.registry, &mut findings).expect("audited");
        assert_eq!((findings.violations(), counts.pending), (&[][..], 0));
    }
}

fn text(record: &Record) -> String {
    String::from_utf8(record.key.as_ref().expect("a key").to_vec()).expect("text")
}

fn without_version(instance: &str) -> String {
    instance.split_once('#').map_or(instance, |(name, _)| name).to_owned()
}

/// The requests, with the commands that each must have led to.
const REQUESTS: [(&str, &str, &str, &str, &[&str]); 6] = [
    ("paid", PAYEE, PAYER, "20.00", &["CreditRequest", "DebitRequest", "GetRequestApproval"]),
    ("not covered", PAYEE, PAYER, "1000000.00", &["DebitRequest", "GetRequestApproval", "NotifyRequestRejected"]),
    ("rejected", PAYEE, PAYER, "30.00", &["GetRequestApproval", "NotifyRequestRejected"]),
    ("forgotten", PAYEE, PAYER, "40.00", &["GetRequestApproval", "NotifyRequestRejected"]),
    ("of nobody", PAYEE, NOBODY, "1.00", &["GetRequestApproval", "NotifyRequestRejected"]),
    (
        "left",
        LEAVER,
        PAYER,
        "50.00",
        &["CreditRequest", "DebitRequest", "GetRequestApproval", "NotifyRequestRejected", "RollbackRequestDebit"],
    ),
];

/// The transfers, with the commands that each must have led to.
const TRANSFERS: [(&str, &str, &[&str]); 2] =
    [("arrives", PAYEE, &["CreditTransfer"]), ("comes back", NOBODY, &["CreditTransfer", "RollbackTransferDebit"])];

/// Money is sent and asked for.
fn begin(bank: &Bank) {
    let deposits = [(PAYER, Some("1000.00")), (PAYEE, None), (LEAVER, None)];
    for (account, deposit) in deposits {
        bank.tell(account, OpenAccount { name: name(), initial_deposit: deposit.map(amount) });
    }
    for (named, to, _) in TRANSFERS {
        let (transaction_id, funded_account) = (transaction(named), id(to));
        bank.tell(PAYER, SendMoney { transaction_id, funded_account, amount: amount("10.00") });
    }
    for (named, by, of, asked, _) in REQUESTS {
        let (transaction_id, funding_account) = (transaction(named), id(of));
        bank.tell(by, Ask { transaction_id, funding_account, amount: amount(asked) });
    }
    bank.tell(LEAVER, DeleteAccount {});
}

/// What lies before the payer is decided, all but one.
fn decide(bank: &Bank) {
    for (named, by) in [("paid", PAYEE), ("not covered", PAYEE), ("left", LEAVER)] {
        bank.tell(PAYER, AcceptRequest { transaction_id: transaction(named), funded_account: id(by) });
    }
    bank.tell(PAYER, RejectRequest { transaction_id: transaction("rejected"), funded_account: id(PAYEE) });
}

fn ended(bank: &Bank) -> usize {
    bank.instances().values().filter(|head| head.ended_at.is_some()).count()
}

fn assert_every_step_was_done_once(bank: &Bank) {
    let transfers = TRANSFERS.map(|(named, _, commands)| (format!("{PAYER}/{named}"), commands.to_vec()));
    let requests = REQUESTS.map(|(named, by, _, _, commands)| (format!("{by}/{named}"), commands.to_vec()));
    assert_eq!(bank.issued(), transfers.into_iter().chain(requests).collect());
    let expected = [
        ("AccountCreated", 3),
        ("AccountDeleted", 1),
        ("FundsDeposited", 1),
        ("RequestApproved", 3),
        ("RequestCreated", 6),
        ("RequestCredited", 1),
        ("RequestDebitRolledBack", 1),
        ("RequestDebited", 2),
        ("RequestReceived", 5),
        ("RequestRejected", 1),
        ("RequestRejectionReceived", 5),
        ("TransferCredited", 1),
        ("TransferDebitRolledBack", 1),
        ("TransferDebited", 2),
    ];
    assert_eq!(bank.events(), BTreeMap::from(expected));
    bank.audit();
}

/// Every ending of both sagas, with so many kills at most before, between and after what is decided.
fn killed(most: usize) -> usize {
    let bank = Bank::open();
    begin(&bank);
    // Two transfers and one request end by themselves; five requests wait for a decision.
    let is_pending = |head: &StateHead| head.deadline.is_some() && head.under_way.is_empty();
    let waiting = |bank: &Bank| bank.instances().values().filter(|head| is_pending(head)).count();
    let begun = bank.kill_until("what can be done at once", most, |bank| ended(bank) == 3 && waiting(bank) == 5);
    decide(&bank);
    let decided = bank.kill_until("what was decided", most, |bank| ended(bank) == 7);
    bank.clock.pass(Duration::from_mins(31));
    let late = bank.kill_until("what is past its deadline", most, |bank| ended(bank) == 8);
    assert_every_step_was_done_once(&bank);
    begun + decided + late
}

#[test]
fn killed_now_and_then_a_saga_does_every_step_once() {
    assert!(killed(6) >= 12);
}

#[test]
#[ignore = "minutes: every transaction is the last of a process"]
fn killed_at_each_of_its_steps_a_saga_does_every_step_once() {
    let kills = killed(usize::MAX);
    eprintln!("{kills} kills");
    assert!(kills >= 200, "{kills} kills");
}
