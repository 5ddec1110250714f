//! A guest's connection to the holder.

use std::io::BufReader;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;

use super::address::Address;
use super::wire::{self, Answer, Hello, Request};
use crate::log::LogError;

/// Longer than any request takes: asking for offsets waits for open transactions.
const ANSWER_WAIT: Duration = Duration::from_mins(2);
const CONNECT_WAIT: Duration = Duration::from_secs(5);

pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) answers: BufReader<TcpStream>,
}

impl Connection {
    /// Connects to whoever holds the log in a folder now.
    pub(super) fn open(folder: &Path) -> Result<Self, LogError> {
        let Address { address, token } = Address::read(folder).map_err(|error| away(&error))?;
        let stream = TcpStream::connect_timeout(&address, CONNECT_WAIT).map_err(|error| away(&error))?;
        let prepare = || {
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(ANSWER_WAIT))?;
            stream.set_write_timeout(Some(ANSWER_WAIT))?;
            stream.try_clone()
        };
        let answers = BufReader::new(prepare().map_err(|error| away(&error))?);
        let mut connection = Self { stream, answers };
        let hello = Hello { protocol: wire::PROTOCOL, token };
        wire::write(&mut connection.stream, &hello, &[]).map_err(|error| away(&error))?;
        connection.answer().map(|_| connection)
    }

    /// Asks, and waits for the answer. After a temporary error the connection is of no more use.
    pub(super) fn call(&mut self, request: &Request) -> Result<(Answer, Bytes), LogError> {
        wire::write(&mut self.stream, request, &[]).map_err(|error| away(&error))?;
        self.answer()
    }

    /// The next answer.
    pub(super) fn answer(&mut self) -> Result<(Answer, Bytes), LogError> {
        match wire::read(&mut self.answers, wire::MAX_FRAME_BYTES).map_err(|error| away(&error))? {
            (Answer::Failed(failure), _) => Err(failure.into()),
            answered => Ok(answered),
        }
    }
}

/// The holder cannot be reached.
pub(super) fn away(error: &std::io::Error) -> LogError {
    LogError::Unavailable(format!("the process that holds the embedded log does not answer: {error}"))
}

/// The holder answered something else than what was asked for.
pub(super) fn misunderstood() -> LogError {
    LogError::Fatal("the process that holds the embedded log is of another version; use the same one".to_owned())
}
