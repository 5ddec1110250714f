//! A guest's reader. When the holder changes it goes on where it was.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::connection::{Connection, away, misunderstood};
use super::wire::{self, Answer, Request};
use crate::clock;
use crate::log::embedded::shared::deadline;
use crate::log::{LogError, Reader, Record, Stretch, TopicPartition};
use crate::position::Offset;

pub(super) struct RemoteReader {
    folder: PathBuf,
    connection: Option<Connection>,
    followed: Vec<(TopicPartition, Offset)>,
}

impl RemoteReader {
    pub(super) const fn new(folder: PathBuf) -> Self {
        Self { folder, connection: None, followed: Vec::new() }
    }

    fn call(&mut self, request: &Request) -> Result<(Answer, Bytes), LogError> {
        let answer = self.connected()?.call(request);
        if matches!(answer, Err(LogError::Unavailable(_))) {
            self.connection = None;
        }
        answer
    }

    /// The connection; a new one follows what was followed.
    fn connected(&mut self) -> Result<&mut Connection, LogError> {
        let connection = if let Some(connection) = self.connection.take() {
            connection
        } else {
            let mut connection = Connection::open(&self.folder)?;
            connection.call(&self.follow_request())?;
            connection
        };
        Ok(self.connection.insert(connection))
    }

    fn follow_request(&self) -> Request {
        Request::Follow(self.followed.iter().map(|(partition, next)| (wire::place(partition), *next)).collect())
    }

    fn note(&mut self, records: &[Record]) {
        for record in records {
            let same =
                |it: &&mut (TopicPartition, Offset)| it.0.partition == record.partition && it.0.topic == record.topic;
            if let Some((_, next)) = self.followed.iter_mut().find(same) {
                *next = record.offset.next();
            }
        }
    }
}

fn remaining(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(clock::instant())
}

impl Reader for RemoteReader {
    fn follow(&mut self, from: &[(TopicPartition, Offset)]) -> Result<(), LogError> {
        self.followed = from.to_vec();
        let request = self.follow_request();
        self.call(&request).map(drop)
    }

    fn poll(&mut self, wait: Duration, max: usize) -> Result<Vec<Record>, LogError> {
        let deadline = deadline(wait);
        loop {
            let request = Request::Poll { wait: remaining(deadline), max };
            let (Answer::Records(heads), body) = self.call(&request)? else { return Err(misunderstood()) };
            let records = wire::records(heads, body).map_err(|error| away(&error))?;
            if !records.is_empty() || clock::instant() >= deadline {
                self.note(&records);
                return Ok(records);
            }
        }
    }

    fn read(
        &mut self,
        partition: &TopicPartition,
        from: Offset,
        until: Offset,
        wait: Duration,
        max: usize,
    ) -> Result<Stretch, LogError> {
        self.followed.clear();
        let deadline = deadline(wait);
        loop {
            let request =
                Request::Read { partition: wire::place(partition), from, until, wait: remaining(deadline), max };
            let (Answer::Stretch { records, next }, body) = self.call(&request)? else { return Err(misunderstood()) };
            if next > from || from >= until || clock::instant() >= deadline {
                let records = wire::records(records, body).map_err(|error| away(&error))?;
                return Ok(Stretch { records, next });
            }
        }
    }
}
