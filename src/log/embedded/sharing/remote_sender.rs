//! A guest's sender. Records travel one behind the other; a thread takes in the answers. When the
//! connection is lost, what was under way is given up (it may have been written), and the next record
//! makes a new one.

use std::collections::VecDeque;
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::connection::{Connection, away, misunderstood};
use super::wire::{self, Answer, Parts, Request};
use crate::clock;
use crate::log::embedded::shared::deadline;
use crate::log::{Delivery, LogError, Outgoing, Sender};

/// How many records may be under way.
const MAX_WAITING: usize = 10_000;

pub(super) struct RemoteSender {
    folder: PathBuf,
    line: Mutex<Line>,
}

/// The connection of the moment.
struct Line {
    stream: TcpStream,
    waiting: Arc<Waiting>,
}

/// The deliveries to be told, in the order of their records.
#[derive(Default)]
struct Waiting {
    queue: Mutex<Queue>,
    told: Condvar,
}

#[derive(Default)]
struct Queue {
    deliveries: VecDeque<Delivery>,
    /// Taken off the queue, and being told.
    telling: usize,
    lost: bool,
}

impl Waiting {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the next delivery.
    fn tell(&self, result: Result<crate::position::Offset, LogError>) {
        let delivery = {
            let mut queue = self.queue();
            queue.telling += 1;
            queue.deliveries.pop_front()
        };
        if let Some(delivery) = delivery {
            delivery(result);
        }
        self.queue().telling -= 1;
        self.told.notify_all();
    }

    /// Gives up everything that was under way.
    fn lose(&self) {
        self.queue().lost = true;
        while !self.queue().deliveries.is_empty() {
            self.tell(Err(LogError::Unavailable(
                "the process that holds the embedded log is gone; the record may have been written or not".to_owned(),
            )));
        }
    }
}

impl Line {
    fn open(folder: &Path) -> Result<Self, LogError> {
        let connection = Connection::open(folder)?;
        let stream = connection.stream.try_clone().map_err(|error| away(&error))?;
        // Between two records any time may pass.
        stream.set_read_timeout(None).map_err(|error| away(&error))?;
        let waiting = Arc::<Waiting>::default();
        let answered = Arc::clone(&waiting);
        std::thread::Builder::new()
            .name("embedded-log-answers".to_owned())
            .spawn(move || take_in(connection, &answered))
            .map_err(|error| away(&error))?;
        Ok(Self { stream, waiting })
    }
}

fn take_in(mut connection: Connection, waiting: &Waiting) {
    loop {
        match connection.answer() {
            Ok((Answer::Sent(offset), _)) => waiting.tell(Ok(offset)),
            Ok(_) => waiting.tell(Err(misunderstood())),
            // The holder answers nothing with this by itself: the connection is lost.
            Err(LogError::Unavailable(_)) => return waiting.lose(),
            Err(error) => waiting.tell(Err(error)),
        }
    }
}

impl RemoteSender {
    pub(super) fn connect(folder: &Path) -> Result<Self, LogError> {
        Ok(Self { folder: folder.to_owned(), line: Mutex::new(Line::open(folder)?) })
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sender for RemoteSender {
    fn send(&self, record: Outgoing, delivered: Delivery) -> Result<(), LogError> {
        let mut line = self.line();
        if line.waiting.queue().lost {
            *line = Line::open(&self.folder)?;
        }
        let mut body = Vec::new();
        let request = Request::Send(Parts::of_outgoing(&record, &mut body));
        {
            let mut queue = line.waiting.queue();
            if queue.deliveries.len() >= MAX_WAITING {
                return Err(LogError::QueueFull);
            }
            if body.len() > wire::MAX_FRAME_BYTES / 2 {
                return Err(LogError::TooLarge(format!(
                    "{}/{}: a record of {} bytes is larger than what can be sent through the holder of the log",
                    record.topic,
                    record.partition,
                    body.len()
                )));
            }
            queue.deliveries.push_back(delivered);
        }
        if wire::write(&mut line.stream, &request, &body).is_err() {
            // The thread that takes in answers gives up this record with all others.
            let _ = line.stream.shutdown(Shutdown::Both);
        }
        Ok(())
    }

    fn flush(&self, wait: Duration) -> Result<(), LogError> {
        let deadline = deadline(wait);
        let waiting = Arc::clone(&self.line().waiting);
        let mut queue = waiting.queue();
        while !queue.deliveries.is_empty() || queue.telling > 0 {
            let left = deadline.saturating_duration_since(clock::instant());
            if left.is_zero() {
                return Err(LogError::Unavailable(format!("{} records are still under way", queue.deliveries.len())));
            }
            queue = waiting.told.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }
}

impl Drop for RemoteSender {
    fn drop(&mut self) {
        // Lets the holder finish what is under way, then ends the thread that takes in the answers.
        let _ = self.line().stream.shutdown(Shutdown::Write);
    }
}
