//! The commands that the instances of a saga have issued, as they stand on the topics of commands.

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use uuid::Uuid;

use super::super::report::{Findings, Place, Rule};
use super::super::{Scope, VerifyError};
use super::read;
use crate::aggregate::{Aggregate, Codecs};
use crate::clock::Timestamp;
use crate::command::CommandHead;
use crate::log::{Isolation, Record, Topic, TopicPartition};
use crate::position::Offset;

/// What reads the heads of commands, for every aggregate of an application.
pub trait CommandHeads {
    /// The topics of commands.
    fn topics(&self) -> Vec<Topic>;

    /// The head of the command in a record; `None` if it is none.
    fn head(&self, topic: &Topic, record: &Record) -> Option<CommandHead>;
}

/// Of the only aggregate that a saga sends commands to.
impl<A: Aggregate> CommandHeads for Codecs<A> {
    fn topics(&self) -> Vec<Topic> {
        vec![self.topics.commands.clone()]
    }

    fn head(&self, _: &Topic, record: &Record) -> Option<CommandHead> {
        self.commands.decode_head(record.value.as_deref()?).ok()
    }
}

/// See the module.
pub(super) struct Issued {
    places: Vec<TopicPartition>,
    commands: HashMap<Uuid, Command>,
    instances: HashMap<Box<str>, Of>,
    /// The time of the first command that is held in a partition of which earlier ones are gone.
    horizon: Option<Timestamp>,
}

/// What is known of an instance.
#[derive(Default)]
struct Of {
    count: usize,
    is_excused: bool,
}

struct Command {
    /// Which of the places.
    place: u32,
    offset: Offset,
    instance: Box<str>,
    /// Whether it stood there before anything else was read, so that its cause must be known.
    is_early: bool,
    is_claimed: bool,
}

/// Where the partitions of commands end now.
pub(super) fn ends(
    scope: &Scope<'_>,
    commands: &dyn CommandHeads,
) -> Result<Vec<(TopicPartition, Offset)>, VerifyError> {
    let partitions = (0..scope.topology.partitions).map(crate::position::Partition);
    let topics = commands.topics();
    let places: Vec<_> =
        topics.iter().flat_map(|topic| partitions.clone().map(|number| topic.partition(number))).collect();
    let bounds = scope.log.bounds(&places, Isolation::Committed)?;
    Ok(places.into_iter().zip(bounds.into_iter().map(|bounds| bounds.end)).collect())
}

impl Issued {
    /// Reads all that ask for their outcomes in this inbox.
    pub fn read(
        scope: &Scope<'_>,
        commands: &dyn CommandHeads,
        inbox: &str,
        ends: &[(TopicPartition, Offset)],
        findings: &mut Findings,
    ) -> Result<Self, VerifyError> {
        let places = ends.iter().map(|(place, _)| place.clone()).collect();
        let mut issued = Self { places, commands: HashMap::new(), instances: HashMap::new(), horizon: None };
        for (number, (place, end)) in (0_u32..).zip(ends) {
            let (records, is_cut) = read(scope, place.clone())?;
            if let Some(first) = records.first().filter(|_| is_cut) {
                issued.horizon = issued.horizon.max(Some(first.timestamp));
            }
            for record in records {
                let Some(head) = commands.head(&place.topic, &record) else { continue };
                let Some(reply_to) = head.reply_to.filter(|reply_to| reply_to.topic == inbox) else { continue };
                let is_early = record.offset < *end;
                let (offset, instance) = (record.offset, reply_to.key.into_boxed_str());
                let command = Command { place: number, offset, instance, is_early, is_claimed: false };
                issued.add(head.id, command, findings);
            }
        }
        Ok(issued)
    }

    fn add(&mut self, id: Uuid, command: Command, findings: &mut Findings) {
        match self.commands.entry(id) {
            Entry::Vacant(entry) => {
                self.instances.entry(command.instance.clone()).or_default().count += 1;
                entry.insert(command);
            }
            Entry::Occupied(first) => {
                let place = Place::record(&self.places[command.place as usize], command.offset, None);
                let (instance, first) = (&first.get().instance, first.get().offset);
                let wrong = format!("instance {instance:?} has issued this command {id} before, at offset {first}");
                findings.add(Rule::Sagas, place, wrong);
            }
        }
    }

    pub fn len(&self) -> u64 {
        self.commands.len() as u64
    }

    pub const fn horizon(&self) -> Option<Timestamp> {
        self.horizon
    }

    pub fn has(&self, id: Uuid) -> bool {
        self.commands.contains_key(&id)
    }

    /// This command follows from what its instance took in.
    pub fn claim(&mut self, id: Uuid) {
        if let Some(command) = self.commands.get_mut(&id) {
            command.is_claimed = true;
        }
    }

    /// How many commands of an instance are in the log.
    pub fn count_of(&self, instance: &str) -> usize {
        self.instances.get(instance).map_or(0, |of| of.count)
    }

    /// An instance is not looked at, nor are its commands.
    pub fn excuse(&mut self, instance: &str) {
        self.instances.entry(instance.into()).or_default().is_excused = true;
    }

    /// Those that follow from nothing. Where records are gone, their instance may be among them, unless it
    /// was looked at.
    pub fn report_the_rest(&self, saga: &str, findings: &mut Findings) {
        let is_excused = |command: &Command| self.instances.get(&command.instance).is_some_and(|of| of.is_excused);
        let rest = self.commands.iter().filter(|(_, it)| it.is_early && !it.is_claimed && !is_excused(it));
        for (id, command) in rest {
            let place = Place::record(&self.places[command.place as usize], command.offset, None);
            let instance = &command.instance;
            let wrong = format!("command {id} of {saga} does not follow from what its instance {instance:?} took in");
            findings.add(Rule::Sagas, place, wrong);
        }
    }
}
