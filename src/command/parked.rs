//! Commands of parked aggregates: what a parked topic says of them, and the queues that they wait in.
//!
//! A command that cannot be judged parks its aggregate: it waits, and every later command of that aggregate
//! waits behind it. Each step is one record of the parked topic, which is kept for ever; the queues are the
//! fold of these records.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::position::Offset;
use crate::schema::Record;

/// A record of a parked topic; its key is the aggregate's id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedCommand {
    /// The command's id.
    pub command_id: Uuid,
    /// The offset of the command.
    pub offset: Offset,
    /// What was done with it.
    pub change: ParkedChange,
}

/// What was done with a command of a parked aggregate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ParkedChange {
    /// It waits behind those that were parked before it.
    Parked(Parked),
    /// It was tried again, could not be judged, and goes on waiting.
    Retried(Retried),
    /// It was judged, and waits no longer.
    Judged(Judged),
    /// It was given up, and waits no longer.
    Skipped(Skipped),
}

/// See [`ParkedChange::Parked`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// When the command was appended.
    pub appended_at: Timestamp,
    /// Why it could not be judged; of one that only stands behind another nothing.
    pub reason: Option<String>,
    /// The command's record as it stands on its topic.
    pub value: Bytes,
    /// The command's traceparent header.
    pub traceparent: Option<Bytes>,
}

/// See [`ParkedChange::Retried`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retried {
    /// The offset of the control command.
    pub by: Offset,
    /// Why it could not be judged.
    pub reason: String,
}

/// See [`ParkedChange::Judged`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// The offset of the control command.
    pub by: Offset,
}

/// See [`ParkedChange::Skipped`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The offset of the control command.
    pub by: Offset,
}

impl Record for ParkedCommand {
    const NAME: &'static str = "ParkedCommand";
    const AVSC: &'static str = include_str!("../../schemas/headwater/ParkedCommand.avsc");
}

/// A command that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingCommand {
    /// The command's id.
    pub command_id: Uuid,
    /// The offset of the command.
    pub offset: Offset,
    /// When it was appended.
    pub appended_at: Timestamp,
    /// The command's record.
    pub value: Bytes,
    /// Its traceparent header.
    pub traceparent: Option<Bytes>,
    /// The offset of its record on the parked topic, or of one before it.
    pub record: Offset,
}

impl WaitingCommand {
    /// What it takes to hold it, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        const FIXED_BYTES: usize = 256;
        FIXED_BYTES + self.value.len() + self.traceparent.as_ref().map_or(0, Bytes::len)
    }
}

/// The commands of one parked aggregate, in order. A copy shares them.
#[derive(Clone, Debug, Default)]
pub struct ParkedQueue {
    commands: VecDeque<Arc<WaitingCommand>>,
    ids: HashSet<Uuid>,
    /// Why the first of them could not be judged; empty while it was not tried.
    pub reason: String,
}

impl ParkedQueue {
    /// Those that wait, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<WaitingCommand>> {
        self.commands.iter()
    }

    /// The next to be judged.
    #[must_use]
    pub fn first(&self) -> Option<&Arc<WaitingCommand>> {
        self.commands.front()
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, command_id: Uuid) -> Option<&Arc<WaitingCommand>> {
        let is_it = |it: &&Arc<WaitingCommand>| it.command_id == command_id;
        self.ids.contains(&command_id).then(|| self.commands.iter().find(is_it)).flatten()
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether none waits: the aggregate is parked no longer.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// One more, behind all others; `reason` if it cannot be judged itself.
    pub fn push(&mut self, command: Arc<WaitingCommand>, reason: Option<&str>) {
        if let Some(reason) = reason.filter(|_| self.commands.is_empty()) {
            reason.clone_into(&mut self.reason);
        }
        self.ids.insert(command.command_id);
        self.commands.push_back(command);
    }

    /// The first waits no longer.
    pub fn pop(&mut self) -> Option<Arc<WaitingCommand>> {
        let first = self.commands.pop_front()?;
        self.ids.remove(&first.command_id);
        self.reason.clear();
        Some(first)
    }
}

/// The parked aggregates of one partition.
#[derive(Clone, Debug, Default)]
pub struct ParkedQueues {
    queues: HashMap<Arc<str>, ParkedQueue>,
}

impl ParkedQueues {
    /// The commands of one aggregate; `None` if it is not parked.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&ParkedQueue> {
        self.queues.get(id)
    }

    /// Every parked aggregate, in no order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &ParkedQueue)> {
        self.queues.iter()
    }

    /// Puts a queue in the place of what an aggregate had; an empty one releases it.
    pub fn replace(&mut self, id: Arc<str>, queue: ParkedQueue) {
        if queue.is_empty() {
            self.queues.remove(&id);
        } else {
            self.queues.insert(id, queue);
        }
    }

    /// Folds one record of the parked topic, which stands there at `record`. One about a command that does
    /// not wait changes nothing: it was parked before what is read.
    pub fn fold(&mut self, id: &str, command: ParkedCommand, record: Offset) {
        let ParkedCommand { command_id, offset, change } = command;
        match change {
            ParkedChange::Parked(Parked { appended_at, reason, value, traceparent }) => {
                let queue = self.queues.entry(Arc::from(id)).or_default();
                let waiting = WaitingCommand { command_id, offset, appended_at, value, traceparent, record };
                queue.push(Arc::new(waiting), reason.as_deref());
            }
            ParkedChange::Retried(Retried { reason, .. }) => {
                if let Some(queue) = self.queues.get_mut(id) {
                    queue.reason = reason;
                }
            }
            ParkedChange::Judged(_) | ParkedChange::Skipped(_) => {
                let Some(queue) = self.queues.get_mut(id) else { return };
                if queue.first().is_some_and(|first| first.command_id == command_id) {
                    queue.pop();
                }
                if queue.is_empty() {
                    self.queues.remove(id);
                }
            }
        }
    }

    /// How much waits.
    #[must_use]
    pub fn size(&self) -> ParkedSize {
        let mut size = ParkedSize { aggregates: self.queues.len(), ..ParkedSize::default() };
        for command in self.queues.values().flat_map(ParkedQueue::iter) {
            size.commands += 1;
            size.bytes += command.bytes();
        }
        size
    }

    /// From where the parked topic must be read to have all of this again; `end` if nothing waits.
    #[must_use]
    pub fn first_record(&self, end: Offset) -> Offset {
        self.queues.values().filter_map(|queue| Some(queue.first()?.record)).min().unwrap_or(end)
    }
}

/// How much waits in a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParkedSize {
    /// Parked aggregates.
    pub aggregates: usize,
    /// Their commands.
    pub commands: usize,
    /// What these take, in bytes.
    pub bytes: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parked(number: u128, reason: Option<&str>) -> ParkedCommand {
        let parked = Parked {
            appended_at: Timestamp(7),
            reason: reason.map(str::to_owned),
            value: Bytes::from_static(b"value"),
            traceparent: None,
        };
        change(number, ParkedChange::Parked(parked))
    }

    fn change(number: u128, change: ParkedChange) -> ParkedCommand {
        ParkedCommand { command_id: Uuid::from_u128(number), offset: Offset(5), change }
    }

    fn judged(number: u128) -> ParkedCommand {
        change(number, ParkedChange::Judged(Judged { by: Offset(9) }))
    }

    fn ids(queues: &ParkedQueues, id: &str) -> Vec<u128> {
        queues.get(id).map_or_else(Vec::new, |queue| queue.iter().map(|it| it.command_id.as_u128()).collect())
    }

    #[test]
    fn commands_wait_in_order_until_the_last_of_them_is_judged() {
        let mut queues = ParkedQueues::default();
        queues.fold("a", parked(1, Some("bad")), Offset(10));
        queues.fold("b", parked(2, Some("worse")), Offset(11));
        queues.fold("a", parked(3, None), Offset(12));
        assert_eq!((ids(&queues, "a"), ids(&queues, "b")), (vec![1, 3], vec![2]));
        assert_eq!(queues.get("a").map(|queue| queue.reason.as_str()), Some("bad"));
        assert_eq!(queues.first_record(Offset(99)), Offset(10));
        queues.fold("a", judged(1), Offset(13));
        assert_eq!((ids(&queues, "a"), queues.first_record(Offset(99))), (vec![3], Offset(11)));
        queues.fold("a", change(3, ParkedChange::Skipped(Skipped { by: Offset(9) })), Offset(14));
        queues.fold("b", judged(2), Offset(15));
        assert_eq!((queues.size(), queues.first_record(Offset(99))), (ParkedSize::default(), Offset(99)));
    }

    #[test]
    fn what_failed_again_goes_on_waiting_for_the_new_reason() {
        let mut queues = ParkedQueues::default();
        queues.fold("a", parked(1, Some("bad")), Offset(10));
        let retried = Retried { by: Offset(9), reason: "still bad".to_owned() };
        queues.fold("a", change(1, ParkedChange::Retried(retried)), Offset(11));
        assert_eq!(queues.get("a").map(|queue| (queue.reason.as_str(), queue.len())), Some(("still bad", 1)));
        assert!(queues.get("a").is_some_and(|queue| queue.get(Uuid::from_u128(1)).is_some()));
    }

    #[test]
    fn read_from_the_first_that_waits_on_it_is_the_same() {
        let records = [parked(1, Some("bad")), parked(2, None), judged(1), parked(3, None)];
        let fold = |from: usize| {
            let mut queues = ParkedQueues::default();
            for (number, record) in records.iter().enumerate().skip(from) {
                queues.fold("a", record.clone(), Offset(i64::try_from(number).expect("small")));
            }
            queues
        };
        let first = fold(0).first_record(Offset(99));
        assert_eq!(first, Offset(1));
        assert_eq!(ids(&fold(1), "a"), ids(&fold(0), "a"));
    }
}
