//! The transactional writer: the engine's side of a [transaction](super::transaction). It keeps the
//! order of calls; whether the writer may still write, the broker says at each of them.

use std::sync::Arc;

use super::group::Token;
use super::shared::Shared;
use super::writers::Identity;
use crate::log::{CommittedOffset, Fence, LogError, Outgoing, TopicPartition, TransactionError, Writer, Written};

pub(super) struct TransactionalWriter {
    shared: Arc<Shared>,
    me: Identity,
    phase: Phase,
}

enum Phase {
    Idle,
    Open,
    /// Something was not taken: only an abort leads on.
    Spoiled(String),
    /// Only a new writer leads on.
    Dead(String),
}

impl TransactionalWriter {
    pub(super) fn open(shared: Arc<Shared>, id: &str) -> Result<Self, LogError> {
        let me = shared.lock()?.open_writer(id)?;
        shared.wake();
        Ok(Self { shared, me, phase: Phase::Idle })
    }

    fn check_open(&self) -> Result<(), TransactionError> {
        match &self.phase {
            Phase::Open => Ok(()),
            Phase::Idle => Err(TransactionError::Fatal("no transaction was begun".to_owned())),
            Phase::Spoiled(why) => Err(TransactionError::Abortable(why.clone())),
            Phase::Dead(why) => Err(TransactionError::Fatal(why.clone())),
        }
    }

    /// Notes what a failure leaves to be done.
    fn note<T>(&mut self, result: Result<T, TransactionError>) -> Result<T, TransactionError> {
        match &result {
            Ok(_) | Err(TransactionError::Retriable(_)) => {}
            Err(TransactionError::Abortable(why) | TransactionError::Rejected(why)) => {
                self.phase = Phase::Spoiled(why.clone());
            }
            Err(TransactionError::Fatal(why)) => self.phase = Phase::Dead(why.clone()),
        }
        result
    }
}

/// The log does not answer: what the transaction left is found out by the next writer.
fn lost(error: &LogError) -> TransactionError {
    TransactionError::Fatal(error.to_string())
}

impl Writer for TransactionalWriter {
    fn begin(&mut self) -> Result<(), TransactionError> {
        match &self.phase {
            Phase::Idle => {}
            Phase::Open => return Err(TransactionError::Fatal("a transaction is open already".to_owned())),
            Phase::Spoiled(why) => return Err(TransactionError::Abortable(why.clone())),
            Phase::Dead(why) => return Err(TransactionError::Fatal(why.clone())),
        }
        let current = self.shared.lock().map_err(|it| lost(&it)).and_then(|mut it| it.current(self.me).map(|_| ()));
        self.note(current)?;
        self.phase = Phase::Open;
        Ok(())
    }

    fn send(&mut self, records: &[Outgoing]) -> Result<(), TransactionError> {
        self.check_open()?;
        let shared = self.shared.lock().map_err(|it| lost(&it));
        let sent = shared.and_then(|mut it| records.iter().try_for_each(|record| it.send(self.me, record)));
        self.note(sent)
    }

    fn send_offsets(
        &mut self,
        fence: &Fence,
        offsets: &[(TopicPartition, CommittedOffset)],
    ) -> Result<(), TransactionError> {
        self.check_open()?;
        let Some(token) = fence.token.downcast_ref::<Token>() else {
            return self.note(Err(TransactionError::Fatal("the fence was taken from another log".to_owned())));
        };
        let sent =
            self.shared.lock().map_err(|it| lost(&it)).and_then(|mut it| it.send_offsets(self.me, token, offsets));
        self.note(sent)
    }

    fn commit(&mut self) -> Result<Written, TransactionError> {
        self.check_open()?;
        let committed = self.shared.lock().map_err(|it| lost(&it)).and_then(|mut it| it.commit(self.me));
        self.shared.wake();
        let written = self.note(committed)?;
        self.phase = Phase::Idle;
        Ok(written)
    }

    fn abort(&mut self) -> Result<(), TransactionError> {
        match &self.phase {
            Phase::Open | Phase::Spoiled(_) => {}
            Phase::Idle => return Ok(()),
            Phase::Dead(why) => return Err(TransactionError::Fatal(why.clone())),
        }
        let aborted = self.shared.lock().map_err(|it| lost(&it)).and_then(|mut it| it.abort(self.me));
        self.shared.wake();
        self.note(aborted)?;
        self.phase = Phase::Idle;
        Ok(())
    }

    fn is_suspect(&self) -> bool {
        false
    }
}
