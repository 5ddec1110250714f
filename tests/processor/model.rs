//! What must be in the log, told by a plain model from the commands in it, and the comparison.

use std::collections::BTreeMap;
use std::time::Duration;

use headwater::aggregate::Codecs;
use headwater::command::{CommandHead, Failure, Outcome};
use headwater::log::{Log, RangeReader, Record, TopicPartition};
use headwater::position::{Offset, Partition};
use headwater::schema::Data;
use headwater::topology::Topology;
use uuid::Uuid;

use crate::tally::{Added, Command, Event, LIMIT, Passed, Tally};

type Key = (String, Uuid);

/// Everything committed on a topic partition, in order.
pub fn read_all(log: &dyn Log, partition: TopicPartition) -> Vec<Record> {
    let mut reader = log.reader().expect("a reader");
    let mut range =
        RangeReader::to_present_end(log, partition, Offset::ZERO, Duration::from_mins(1)).expect("its bounds");
    let mut all = Vec::new();
    while let Some(records) = range.step(log, &mut *reader).expect("it can be read to its end") {
        all.extend(records);
    }
    all
}

struct Judged {
    outcome: String,
    command: Command,
}

/// The model of one partition.
#[derive(Default)]
struct Expected {
    totals: BTreeMap<String, (i64, i64, i64)>,
    judged: BTreeMap<Key, Judged>,
    events: Vec<(String, i64, Event)>,
    outcomes: Vec<(Key, bool, String)>,
    replies: BTreeMap<Key, Vec<String>>,
    hand_offs: Vec<(String, i64, Uuid)>,
}

impl Expected {
    fn judge(&mut self, id: &str, head: &CommandHead, command: Command) {
        let key = (id.to_owned(), head.id);
        let outcome = match self.judged.get(&key) {
            Some(first) if first.command == command => first.outcome.clone(),
            Some(_) => {
                let outcome = format!("failed {}", Failure::Conflict.as_str());
                self.outcomes.push((key.clone(), true, outcome.clone()));
                outcome
            }
            None => {
                let outcome = self.decide(id, head, &command);
                self.outcomes.push((key.clone(), false, outcome.clone()));
                self.judged.insert(key.clone(), Judged { outcome: outcome.clone(), command });
                outcome
            }
        };
        if head.reply_to.is_some() {
            self.replies.entry(key).or_default().push(outcome);
        }
    }

    fn decide(&mut self, id: &str, head: &CommandHead, command: &Command) -> String {
        let (total, passed, version) = self.totals.get(id).copied().unwrap_or_default();
        if head.expected_version.is_some_and(|expected| expected.0 != version) {
            return format!("refused version_mismatch {version}");
        }
        let (amount, to) = match command {
            Command::Add(add) => (add.amount, None),
            Command::Pass(pass) => (pass.amount, Some(pass.to.clone())),
        };
        if to.is_none() && amount == 0 {
            return format!("accepted {version} {} {total}", self.events.len());
        }
        if total + amount > LIMIT {
            return format!("refused over_limit {version}");
        }
        let total = total + amount;
        self.events.push((id.to_owned(), version + 1, Event::Added(Added { amount, total })));
        let state = if let Some(to) = to {
            self.events.push((id.to_owned(), version + 2, Event::Passed(Passed { amount })));
            self.hand_offs.push((to, amount, head.id));
            (total, passed + amount, version + 2)
        } else {
            (total, passed, version + 1)
        };
        self.totals.insert(id.to_owned(), state);
        format!("accepted {} {}", state.2, self.events.len())
    }
}

fn text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Accepted(it) => {
            let data = it.data.as_ref().map_or(String::new(), |data| format!(" {data}"));
            format!("accepted {} {}{data}", it.version, it.sequence)
        }
        Outcome::Refused(it) => format!("refused {} {}", it.code, it.version),
        Outcome::Failed(it) => format!("failed {}", it.code.as_str()),
    }
}

/// Compares all that is in the log with the model. `sent` are the ids of the commands sent from outside.
pub fn check(log: &dyn Log, topology: &Topology, codecs: &Codecs<Tally>, sent: usize) -> Result<(), String> {
    let mut replies: BTreeMap<Key, Vec<String>> = BTreeMap::new();
    for number in 0..topology.reply_partitions {
        for record in read_all(log, topology.replies().partition(Partition(number))) {
            let reply = codecs.replies.decode(&record.value.expect("a value")).map_err(|error| error.to_string())?;
            replies.entry((reply.aggregate_id.to_string(), reply.command_id)).or_default().push(text(&reply.outcome));
        }
    }
    let mut hand_offs = Vec::new();
    let mut handed = Vec::new();
    let mut direct = 0;
    let mut expected_replies = BTreeMap::new();
    for number in 0..topology.partitions {
        let partition = Partition(number);
        let mut expected = Expected::default();
        for record in read_all(log, codecs.topics.commands.partition(partition)) {
            let id = String::from_utf8(record.key.expect("a key").to_vec()).expect("text");
            let decoded = codecs.commands.decode(&record.value.expect("a value")).expect("a command");
            let Data::User(command) = decoded.data else { continue };
            match (&decoded.head.causation_id, &command) {
                (Some(cause), Command::Add(add)) => handed.push((id.clone(), add.amount, *cause)),
                _ => direct += 1,
            }
            expected.judge(&id, &decoded.head, command);
        }
        compare_partition(log, codecs, partition, &expected)?;
        hand_offs.extend(expected.hand_offs);
        expected_replies.extend(expected.replies);
    }
    same("number of commands from outside", &sent, &direct)?;
    hand_offs.sort();
    handed.sort();
    same("commands handed on", &hand_offs, &handed)?;
    same("replies", &expected_replies, &replies)
}

fn compare_partition(
    log: &dyn Log,
    codecs: &Codecs<Tally>,
    partition: Partition,
    expected: &Expected,
) -> Result<(), String> {
    let mut events = Vec::new();
    for (index, record) in read_all(log, codecs.topics.events.partition(partition)).into_iter().enumerate() {
        let id = String::from_utf8(record.key.expect("a key").to_vec()).expect("text");
        let decoded = codecs.events.decode(&record.value.expect("a value")).expect("an event");
        same("sequence", &(index + 1), &usize::try_from(decoded.head.sequence.0).expect("positive"))?;
        let Data::User(event) = decoded.data;
        events.push((id, decoded.head.version.0, event));
    }
    same("events", &expected.events, &events)?;
    let mut outcomes = Vec::new();
    for record in read_all(log, codecs.topics.outcomes.partition(partition)) {
        let record = codecs.outcomes.decode(&record.value.expect("a value")).expect("outcomes");
        for entry in record.entries {
            outcomes.push(((entry.aggregate_id.to_string(), entry.command_id), entry.about_copy, text(&entry.outcome)));
        }
    }
    same("outcomes", &expected.outcomes, &outcomes)
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, found: &T) -> Result<(), String> {
    if expected == found {
        return Ok(());
    }
    Err(format!("{what}: expected {expected:?}, found {found:?}"))
}
