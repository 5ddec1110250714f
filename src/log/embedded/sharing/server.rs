//! The holder's side: one thread that accepts, one for each guest's connection.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::time::Duration;

use bytes::Bytes;

use super::address::{Address, Token};
use super::wire::{self, Answer, Failure, Hello, Parts, Question, Request};
use crate::clock::Timestamp;
use crate::log::embedded::EmbeddedLog;
use crate::log::embedded::keys::StoredTopic;
use crate::log::embedded::shared::Shared;
use crate::log::{Isolation, Log, LogError, Outgoing, Reader, Record, Sender, Stretch, Topic};
use crate::position::Offset;

/// More guests at once are turned away.
const MAX_GUESTS: usize = 64;
/// How long somebody may take to show the token.
const HELLO_WAIT: Duration = Duration::from_secs(5);
/// No request keeps a closing log open for longer; guests ask again.
const MAX_WAIT: Duration = Duration::from_millis(500);
/// How many bytes of records one answer carries, if there is more than one record.
const ANSWER_BYTES: usize = 4 * 1024 * 1024;
const ANSWER_RECORDS: usize = 10_000;

/// A log being served; ends with the last handle of the log.
pub(in crate::log::embedded) struct Serving {
    folder: PathBuf,
    listens_at: SocketAddr,
    guests: Arc<Guests>,
}

/// The connections there are.
#[derive(Default)]
struct Guests {
    closed: AtomicBool,
    streams: Mutex<HashMap<SocketAddr, TcpStream>>,
}

impl Serving {
    /// Serves a log on a loopback address and leaves the note in the folder.
    pub(in crate::log::embedded) fn start(folder: &Path, log: &Arc<Shared>) -> Result<Self, LogError> {
        let failed = |error: io::Error| {
            LogError::Fatal(format!("the embedded log in {} cannot be shared: {error}", folder.display()))
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let listens_at = listener.local_addr().map_err(failed)?;
        let token = Token::random();
        let guests = Arc::<Guests>::default();
        let (log, accepted, expected) = (Arc::downgrade(log), Arc::clone(&guests), token.clone());
        std::thread::Builder::new()
            .name("embedded-log-guests".to_owned())
            .spawn(move || accept(&listener, &log, &accepted, &expected))
            .map_err(failed)?;
        Address { address: listens_at, token }.write(folder).map_err(failed)?;
        Ok(Self { folder: folder.to_owned(), listens_at, guests })
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        Address::remove(&self.folder);
        self.guests.closed.store(true, Ordering::SeqCst);
        for stream in self.guests.streams().values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes the thread that accepts; if that fails, it ends with the process.
        let _ = TcpStream::connect(self.listens_at);
    }
}

impl Guests {
    fn streams(&self) -> MutexGuard<'_, HashMap<SocketAddr, TcpStream>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a guest in, if there is room and the log is not closing.
    fn admit(&self, from: SocketAddr, stream: &TcpStream) -> io::Result<()> {
        let mut streams = self.streams();
        if self.closed.load(Ordering::SeqCst) || streams.len() >= MAX_GUESTS {
            return Err(io::Error::other("no room for another guest"));
        }
        streams.insert(from, stream.try_clone()?);
        Ok(())
    }
}

fn accept(listener: &TcpListener, log: &Weak<Shared>, guests: &Arc<Guests>, token: &Token) {
    while !guests.closed.load(Ordering::SeqCst) {
        let Ok((stream, from)) = listener.accept() else {
            // Out of descriptors, most likely; trying again at once would only burn the processor.
            std::thread::sleep(HELLO_WAIT / 100);
            continue;
        };
        if guests.admit(from, &stream).is_err() {
            continue;
        }
        let (log, present, token) = (Weak::clone(log), Arc::clone(guests), token.clone());
        let serving = std::thread::Builder::new().name("embedded-log-guest".to_owned()).spawn(move || {
            if let Err(error) = serve(stream, &log, &token) {
                tracing::debug!(%error, "a guest of the embedded log is gone");
            }
            present.streams().remove(&from);
        });
        if serving.is_err() {
            guests.streams().remove(&from);
        }
    }
}

fn serve(mut stream: TcpStream, log: &Weak<Shared>, token: &Token) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(HELLO_WAIT))?;
    let (hello, _) = wire::read::<Hello>(&mut stream, wire::MAX_HELLO_BYTES)?;
    if !token.matches(&hello.token) {
        return Err(io::Error::other("it did not show the token"));
    }
    if hello.protocol != wire::PROTOCOL {
        let why = "the process that holds the embedded log is of another version; use the same one".to_owned();
        return wire::write(&mut stream, &Answer::Failed(Failure::Fatal(why)), &[]);
    }
    wire::write(&mut stream, &Answer::Done, &[])?;
    stream.set_read_timeout(None)?;
    let Some(shared) = log.upgrade() else { return Ok(()) };
    let mut session = Session::new(EmbeddedLog { shared, _serving: None });
    loop {
        let (request, body) = wire::read::<Request>(&mut stream, wire::MAX_FRAME_BYTES)?;
        let mut out = Vec::new();
        let answer = session.answer(request, body, &mut out)?;
        wire::write(&mut stream, &answer.unwrap_or_else(|it| Answer::Failed(it.into())), &out)?;
    }
}

/// One guest's connection.
struct Session {
    log: EmbeddedLog,
    sender: Option<Arc<dyn Sender>>,
    reader: Option<Box<dyn Reader>>,
    /// Polled, but too much for one answer.
    left: VecDeque<Record>,
}

impl Session {
    const fn new(log: EmbeddedLog) -> Self {
        Self { log, sender: None, reader: None, left: VecDeque::new() }
    }

    /// The answer, or why the guest cannot be understood.
    fn answer(&mut self, request: Request, mut body: Bytes, out: &mut Vec<u8>) -> io::Result<Result<Answer, LogError>> {
        Ok(match request {
            Request::Send(parts) => self.send(parts.into_outgoing(&mut body)?).map(Answer::Sent),
            Request::Follow(from) => self.follow(from),
            Request::Poll { wait, max } => self.poll(wait, max, out),
            Request::Read { partition, from, until, wait, max } => self.read(partition, (from, until), wait, max, out),
            Request::Ask(question) => self.ask(question),
        })
    }

    /// What needs nothing of this connection.
    fn ask(&self, question: Question) -> Result<Answer, LogError> {
        match question {
            Question::Cluster => self.log.cluster().map(Answer::Cluster),
            Question::Describe(names) => {
                let topics: Vec<_> = names.into_iter().map(Topic::from).collect();
                let specs = self.log.describe(&topics)?;
                Ok(Answer::Topics(specs.iter().map(|it| it.as_ref().map(|it| StoredTopic::new(0, it))).collect()))
            }
            Question::Create(topics) => {
                let specs: Vec<_> = topics.iter().map(StoredTopic::spec).collect();
                self.log.create(&specs).map(|()| Answer::Done)
            }
            Question::Bounds { partitions, committed } => {
                let isolation = if committed { Isolation::Committed } else { Isolation::Uncommitted };
                let bounds = self.log.bounds(&wire::partitions(partitions), isolation)?;
                Ok(Answer::Bounds(bounds.iter().map(|it| (it.low, it.end)).collect()))
            }
            Question::OffsetAt { partition, time } => {
                self.log.offset_at(&wire::partition(partition), time).map(Answer::OffsetAt)
            }
            Question::Committed { group, partitions } => {
                let offsets = self.log.committed(&group, &wire::partitions(partitions))?;
                Ok(Answer::Committed(offsets.into_iter().map(|it| it.map(|it| (it.offset, it.metadata))).collect()))
            }
            Question::SetCommitted { group, offsets } => {
                let offsets = offsets
                    .into_iter()
                    .map(|(place, offset, metadata)| (wire::partition(place), wire::committed(offset, metadata)));
                self.log.set_committed(&group, &offsets.collect::<Vec<_>>()).map(|()| Answer::Done)
            }
        }
    }

    fn send(&mut self, record: Outgoing) -> Result<Offset, LogError> {
        let sender = match &self.sender {
            Some(sender) => Arc::clone(sender),
            None => Arc::clone(self.sender.insert(self.log.sender()?)),
        };
        let (tell, told) = mpsc::channel();
        sender.send(record, Box::new(move |offset| drop(tell.send(offset))))?;
        told.recv().unwrap_or_else(|_| Err(LogError::Fatal("the record was given up".to_owned())))
    }

    fn reader(&mut self) -> Result<&mut dyn Reader, LogError> {
        let reader = match self.reader.take() {
            Some(reader) => reader,
            None => self.log.reader()?,
        };
        Ok(&mut **self.reader.insert(reader))
    }

    fn follow(&mut self, from: Vec<(wire::Place, Offset)>) -> Result<Answer, LogError> {
        self.left.clear();
        let from: Vec<_> = from.into_iter().map(|(place, offset)| (wire::partition(place), offset)).collect();
        self.reader()?.follow(&from).map(|()| Answer::Done)
    }

    fn poll(&mut self, wait: Duration, max: usize, out: &mut Vec<u8>) -> Result<Answer, LogError> {
        let max = max.min(ANSWER_RECORDS);
        if self.left.is_empty() {
            self.left = self.reader()?.poll(wait.min(MAX_WAIT), max)?.into();
        }
        let mut records = Vec::new();
        while records.len() < max
            && let Some(record) = self.left.pop_front_if(|it| has_room(it, out))
        {
            records.push(Parts::of_record(&record, out));
        }
        Ok(Answer::Records(records))
    }

    fn read(
        &mut self,
        place: wire::Place,
        (from, until): (Offset, Offset),
        wait: Duration,
        max: usize,
        out: &mut Vec<u8>,
    ) -> Result<Answer, LogError> {
        self.left.clear();
        let (partition, max) = (wire::partition(place), max.min(ANSWER_RECORDS));
        let stretch = self.reader()?.read(&partition, from, until, wait.min(MAX_WAIT), max)?;
        let Stretch { records, mut next } = stretch;
        let mut packed: Vec<(Parts, Offset, Timestamp)> = Vec::new();
        for record in &records {
            if !has_room(record, out) {
                next = record.offset;
                break;
            }
            packed.push(Parts::of_record(record, out));
        }
        Ok(Answer::Stretch { records: packed, next })
    }
}

fn has_room(record: &Record, out: &[u8]) -> bool {
    let size: usize = [&record.key, &record.value, &record.traceparent].into_iter().flatten().map(Bytes::len).sum();
    out.is_empty() || out.len() + size <= ANSWER_BYTES
}
