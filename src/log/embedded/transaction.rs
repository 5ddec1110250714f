//! Transactions: who may write under an id, what is open, and how it ends.
//!
//! A writer's id names one [`Producer`] for ever; opening the id again raises its epoch, which fences
//! whoever held it before and aborts what they left open. A transaction holds back readers from its
//! first record on; its end is one batch of markers, offsets and the writer's state. It lives on in
//! storage when the process dies, until its id is opened again or its time is up.

use std::time::Instant;

use super::broker::Broker;
use super::chunk::{Parts, Producer};
use super::group::{Standing, Token};
use super::keys::{self, StoredOffset, StoredWriter};
use super::partition::Ending;
use super::storage::{Batch, Space};
use super::writers::{Epoch, Identity, Span, Transaction, WriterState};
use crate::clock;
use crate::clock::is_planted;
use crate::log::{CommittedOffset, LogError, Outgoing, TopicPartition, TransactionError, Written};

impl Broker {
    /// Opens a writer id: aborts what an earlier holder left open and fences it.
    pub(super) fn open_writer(&mut self, id: &str) -> Result<Identity, LogError> {
        let producer = if let Some(producer) = self.writer_ids.get(id) {
            *producer
        } else {
            let last = self.writers.last_key_value().map_or(Producer::NONE, |(it, _)| *it);
            let producer = Producer(last.0 + 1);
            let state = WriterState { id: id.to_owned(), epoch: Epoch(0), open: None, stored_open: false };
            self.writers.insert(producer, state);
            self.writer_ids.insert(id.to_owned(), producer);
            producer
        };
        self.fence_writer(producer)
    }

    /// Aborts what the writer has open and raises its epoch, in one batch.
    fn fence_writer(&mut self, producer: Producer) -> Result<Identity, LogError> {
        let mut batch = Batch::default();
        self.end(producer, Ending::Abort, &mut batch)?;
        let epoch = self.writers.get_mut(&producer).map(|writer| {
            writer.epoch = Epoch(writer.epoch.0 + 1);
            writer.epoch
        });
        self.save_writer(producer, &mut batch)?;
        self.write(batch)?;
        Ok(Identity { producer, epoch: epoch.unwrap_or(Epoch(0)) })
    }

    /// The writer, if it may still write.
    pub(super) fn current(&mut self, me: Identity) -> Result<&mut WriterState, TransactionError> {
        match self.writers.get_mut(&me.producer) {
            Some(writer) if writer.epoch == me.epoch || is_planted!(FencedWriterAccepted) => Ok(writer),
            Some(writer) => Err(TransactionError::Fatal(format!(
                "writer {:?} was fenced: its id was opened again, or its transaction was open for too long",
                writer.id
            ))),
            None => Err(TransactionError::Fatal("the writer is not known to this log".to_owned())),
        }
    }

    /// The writer's open transaction; begins it.
    fn transaction(&mut self, me: Identity) -> Result<&mut Transaction, TransactionError> {
        let due = clock::instant();
        let timeout = self.settings.transaction_timeout;
        if self.current(me)?.open.is_none() {
            self.expect_expiry(due + timeout);
        }
        Ok(self.current(me)?.open.get_or_insert_with(|| Transaction::new(due)))
    }

    /// Appends a record to the writer's transaction.
    pub(super) fn send(&mut self, me: Identity, record: &Outgoing) -> Result<(), TransactionError> {
        self.current(me)?;
        let to = TopicPartition { topic: record.topic.clone(), partition: record.partition };
        let offset = self.append(&to, me.producer, Parts::from(record)).map_err(unwritten)?;
        let transaction = self.transaction(me)?;
        if let Some(span) = transaction.spans.get_mut(&to) {
            span.next = offset.next();
            return Ok(());
        }
        transaction.spans.insert(to.clone(), Span { first: offset, next: offset.next() });
        self.unsaved.insert(me.producer);
        self.partition_mut(&to).map_err(unwritten)?.begin(me.producer, offset);
        Ok(())
    }

    /// Adds offsets to the writer's transaction, if the fence is current.
    pub(super) fn send_offsets(
        &mut self,
        me: Identity,
        token: &Token,
        offsets: &[(TopicPartition, CommittedOffset)],
    ) -> Result<(), TransactionError> {
        self.current(me)?;
        if token.incarnation != self.incarnation {
            return Err(TransactionError::Fatal("the fence was taken from another log".to_owned()));
        }
        let standing = self.groups.get(&token.group).map(|it| it.membership.standing(token.member, token.generation));
        match standing {
            Some(Standing::Current) => {}
            _ if is_planted!(StaleGenerationAccepted) => {}
            Some(Standing::StaleGeneration(present)) => {
                return Err(TransactionError::Abortable(format!(
                    "group {}: generation {} is over, this member is in {present}",
                    token.group, token.generation.0
                )));
            }
            Some(Standing::NotAMember) | None => {
                return Err(TransactionError::Abortable(format!(
                    "group {}: the member that took this fence is no longer in the group",
                    token.group
                )));
            }
        }
        let transaction = self.transaction(me)?;
        for (partition, committed) in offsets {
            transaction.offsets.insert((token.group.clone(), partition.clone()), committed.clone());
        }
        self.unsaved.insert(me.producer);
        Ok(())
    }

    /// Commits the writer's transaction: one batch.
    pub(super) fn commit(&mut self, me: Identity) -> Result<Written, TransactionError> {
        let writer = self.current(me)?;
        let Some(transaction) = &writer.open else { return Ok(Written::default()) };
        let written = transaction.spans.iter().map(|(partition, span)| (partition.clone(), span.next)).collect();
        self.finish(me.producer, Ending::Commit)?;
        Ok(written)
    }

    /// Aborts the writer's transaction: one batch.
    pub(super) fn abort(&mut self, me: Identity) -> Result<(), TransactionError> {
        self.current(me)?;
        self.finish(me.producer, Ending::Abort)
    }

    fn finish(&mut self, producer: Producer, ending: Ending) -> Result<(), TransactionError> {
        let mut batch = Batch::default();
        self.end(producer, ending, &mut batch)
            .and_then(|()| self.write(batch))
            .map_err(|error| TransactionError::Fatal(error.to_string()))
    }

    /// Ends what the writer has open, in memory and in `batch`.
    fn end(&mut self, producer: Producer, ending: Ending, batch: &mut Batch) -> Result<(), LogError> {
        let Some(transaction) = self.writers.get_mut(&producer).and_then(|it| it.open.take()) else { return Ok(()) };
        for (partition, span) in &transaction.spans {
            self.partition_mut(partition)?.end_transaction(producer, span.first, ending, batch);
        }
        if ending == Ending::Commit {
            for ((group, partition), committed) in transaction.offsets {
                self.set_offset(&group, partition, committed, batch)?;
            }
        }
        // Most transactions begin and end between two writes: storage never hears that they were open.
        self.unsaved.remove(&producer);
        if self.writers.get(&producer).is_some_and(|it| it.stored_open) {
            self.save_writer(producer, batch)?;
        }
        Ok(())
    }

    /// Stores a group's offset, in memory and in `batch`.
    pub(super) fn set_offset(
        &mut self,
        group: &str,
        partition: TopicPartition,
        committed: CommittedOffset,
        batch: &mut Batch,
    ) -> Result<(), LogError> {
        let stored = keys::encode(&StoredOffset::new(group, &partition, &committed))?;
        batch.put(Space::Meta, keys::offset(group, &partition), stored);
        self.groups.entry(group.to_owned()).or_default().offsets.insert(partition, committed);
        Ok(())
    }

    /// Puts the writer as it is into `batch`.
    pub(super) fn save_writer(&mut self, producer: Producer, batch: &mut Batch) -> Result<(), LogError> {
        let Some(writer) = self.writers.get_mut(&producer) else { return Ok(()) };
        writer.stored_open = writer.open.is_some();
        let stored = StoredWriter::new(producer, writer);
        batch.put(Space::Meta, keys::writer(&stored.id), keys::encode(&stored)?);
        Ok(())
    }

    /// Whether an open transaction would change one of these offsets.
    pub(super) fn has_pending_offsets(&self, group: &str, partitions: &[TopicPartition]) -> bool {
        self.writers
            .values()
            .filter_map(|it| it.open.as_ref())
            .flat_map(|it| it.offsets.keys())
            .any(|(pending_group, pending)| pending_group == group && partitions.contains(pending))
    }

    /// Aborts the transactions whose time is up and fences their writers; whether there were any.
    pub(super) fn expire_transactions(&mut self, now: Instant) -> Result<bool, LogError> {
        let timeout = self.settings.transaction_timeout;
        let overdue = |it: &WriterState| it.open.as_ref().is_some_and(|it| it.since + timeout <= now);
        let overdue: Vec<_> =
            self.writers.iter().filter(|(_, it)| overdue(it)).map(|(producer, _)| *producer).collect();
        for producer in &overdue {
            self.fence_writer(*producer)?;
        }
        Ok(!overdue.is_empty())
    }

    pub(super) fn next_transaction_expiry(&self) -> Option<Instant> {
        let oldest = self.writers.values().filter_map(|it| Some(it.open.as_ref()?.since)).min()?;
        Some(oldest + self.settings.transaction_timeout)
    }
}

/// What a record that could not be appended means for its transaction.
fn unwritten(error: LogError) -> TransactionError {
    match error {
        LogError::TooLarge(_) | LogError::Missing(_) => TransactionError::Rejected(error.to_string()),
        other => TransactionError::Fatal(other.to_string()),
    }
}

impl StoredWriter {
    fn new(producer: Producer, writer: &WriterState) -> Self {
        let open = writer.open.as_ref();
        let spans = open.into_iter().flat_map(|it| &it.spans);
        let offsets = open.into_iter().flat_map(|it| &it.offsets);
        Self {
            id: writer.id.clone(),
            producer: producer.0,
            epoch: writer.epoch.0,
            open: spans.map(|(to, span)| (to.topic.to_string(), to.partition, span.first)).collect(),
            offsets: offsets
                .map(|((group, partition), committed)| StoredOffset::new(group, partition, committed))
                .collect(),
        }
    }
}
