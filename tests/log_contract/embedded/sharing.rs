//! Going through the process that holds the log. The whole contract runs as a guest too, with the
//! working left to the holder.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use headwater::clock::{Clock, Timestamp};
use headwater::log::embedded::{EmbeddedLog, Opened, RemoteLog, Settings, connect_or_open};
use headwater::log::{
    Bounds, CommittedOffset, Group, Isolation, Log, LogError, Member, Reader, Sender, Topic, TopicPartition, TopicSpec,
    Writer,
};
use headwater::position::{Offset, Partition};

use super::child::{Process, say};
use crate::world::{PATIENCE, World, record, value};

const FOLDER: &str = "HEADWATER_TEST_HOLDER_FOLDER";

fn holder(folder: &Path) -> EmbeddedLog {
    match connect_or_open(folder, &Settings::default(), &Clock::system()).unwrap() {
        Opened::Holder(log) => log,
        Opened::Guest(log) => panic!("somebody else holds it: {log:?}"),
    }
}

fn guest(folder: &Path) -> RemoteLog {
    match connect_or_open(folder, &Settings::default(), &Clock::system()).unwrap() {
        Opened::Guest(log) => log,
        Opened::Holder(log) => panic!("nobody else holds it: {log:?}"),
    }
}

/// A guest, except that it works through the holder's own handle.
struct GuestAndHolder {
    guest: RemoteLog,
    holder: EmbeddedLog,
}

/// A world whose log is seen through its holder.
pub fn guest_world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let holder = holder(folder.path());
    let guest = guest(folder.path());
    World::new(Arc::new(GuestAndHolder { guest, holder }), Some(folder))
}

impl Log for GuestAndHolder {
    fn cluster(&self) -> Result<String, LogError> {
        self.guest.cluster()
    }

    fn describe(&self, topics: &[Topic]) -> Result<Vec<Option<TopicSpec>>, LogError> {
        self.guest.describe(topics)
    }

    fn create(&self, topics: &[TopicSpec]) -> Result<(), LogError> {
        self.guest.create(topics)
    }

    fn bounds(&self, partitions: &[TopicPartition], isolation: Isolation) -> Result<Vec<Bounds>, LogError> {
        self.guest.bounds(partitions, isolation)
    }

    fn offset_at(&self, partition: &TopicPartition, time: Timestamp) -> Result<Option<Offset>, LogError> {
        self.guest.offset_at(partition, time)
    }

    fn committed(&self, group: &str, partitions: &[TopicPartition]) -> Result<Vec<Option<CommittedOffset>>, LogError> {
        self.guest.committed(group, partitions)
    }

    fn set_committed(&self, group: &str, offsets: &[(TopicPartition, CommittedOffset)]) -> Result<(), LogError> {
        self.guest.set_committed(group, offsets)
    }

    fn join(&self, group: &Group) -> Result<Box<dyn Member>, LogError> {
        self.holder.join(group)
    }

    fn writer(&self, id: &str) -> Result<Box<dyn Writer>, LogError> {
        self.holder.writer(id)
    }

    fn sender(&self) -> Result<Arc<dyn Sender>, LogError> {
        self.guest.sender()
    }

    fn reader(&self) -> Result<Box<dyn Reader>, LogError> {
        self.guest.reader()
    }
}

#[test]
fn a_guest_does_no_work() {
    let folder = tempfile::tempdir().unwrap();
    let _holder = holder(folder.path());
    let guest = guest(folder.path());
    let group = Group { name: "g".to_owned(), instance: None, topics: Vec::new() };
    for error in [guest.join(&group).err(), guest.writer("w").err()] {
        let Some(LogError::Fatal(why)) = error else { panic!("{error:?}") };
        assert_eq!(why, "a worker role cannot run beside the process that holds the embedded log");
    }
}

#[test]
fn a_flood_of_records_arrives_in_order_and_each_is_told() {
    let world = guest_world();
    let to = world.partition();
    let sender = world.log.sender().unwrap();
    let (tell, told) = mpsc::channel();
    let count = 20_000;
    for number in 0..count {
        loop {
            let tell = tell.clone();
            let sent = sender.send(record(&to, &number.to_string()), Box::new(move |it| tell.send(it).unwrap()));
            match sent {
                Ok(()) => break,
                Err(LogError::QueueFull) => sender.flush(PATIENCE).unwrap(),
                Err(error) => panic!("{error}"),
            }
        }
    }
    sender.flush(PATIENCE).unwrap();
    drop(tell);
    let offsets: Vec<_> = told.into_iter().map(Result::unwrap).collect();
    assert_eq!(offsets, (0..count).map(Offset).collect::<Vec<_>>());
    assert_eq!(world.values(&to), (0..count).map(|it| it.to_string()).collect::<Vec<_>>());
}

#[test]
fn more_than_one_answer_carries_is_read_in_several() {
    let world = guest_world();
    let to = world.partition();
    for number in 0..20 {
        world.send(record(&to, &format!("{number}{}", "x".repeat(500_000)))).unwrap();
    }
    assert_eq!(world.read(&to).len(), 20);
    let mut reader = world.log.reader().unwrap();
    reader.follow(&[(to, Offset(0))]).unwrap();
    let mut offsets = Vec::new();
    while offsets.len() < 20 {
        let records = reader.poll(PATIENCE, 100).unwrap();
        assert!(!records.is_empty());
        offsets.extend(records.iter().map(|it| it.offset.0));
    }
    assert_eq!(offsets, (0..20).collect::<Vec<_>>());
}

fn address(folder: &Path) -> SocketAddr {
    let note: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.join("address")).unwrap()).unwrap();
    note["address"].as_str().unwrap().parse().unwrap()
}

/// What the holder answers to raw bytes until it hangs up.
fn answer_to(folder: &Path, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address(folder)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    // A reset is a way to hang up as well.
    let _ = stream.read_to_end(&mut answer);
    answer
}

fn frame(head: &str) -> Vec<u8> {
    let length = u32::try_from(head.len()).unwrap().to_le_bytes();
    [&length[..], &[0; 4], head.as_bytes()].concat()
}

#[test]
fn who_does_not_know_the_secret_learns_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let holder = holder(folder.path());
    for bytes in [
        frame(r#"{"protocol":1,"token":"00000000000000000000000000000000"}"#),
        frame(r#"{"protocol":1,"token":""}"#),
        frame(r#"{"Ask":"Cluster"}"#),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        [&u32::MAX.to_le_bytes()[..], &u32::MAX.to_le_bytes()].concat(),
    ] {
        assert_eq!(answer_to(folder.path(), &bytes), b"");
    }
    assert_eq!(guest(folder.path()).cluster().unwrap(), holder.cluster().unwrap(), "the holder goes on");
}

#[test]
fn a_guest_that_speaks_nonsense_is_hung_up_on_and_others_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let _holder = holder(folder.path());
    let note: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("address")).unwrap()).unwrap();
    let hello = frame(&format!(r#"{{"protocol":1,"token":{}}}"#, note["token"]));
    let too_long_a_part = r#"{"Send":{"place":["t",0],"lengths":[5,null,null]}}"#;
    for nonsense in [frame("nonsense"), frame(too_long_a_part), vec![0xff; 64]] {
        let answer = answer_to(folder.path(), &[hello.clone(), nonsense].concat());
        assert_eq!(answer, frame(r#""Done""#), "only the greeting is answered");
    }
    guest(folder.path()).cluster().unwrap();
}

#[cfg(unix)]
#[test]
fn only_the_holders_user_can_read_the_secret() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let holder = holder(folder.path());
    let note = folder.path().join("address");
    assert_eq!(std::fs::metadata(&note).unwrap().permissions().mode() & 0o777, 0o600);
    drop(holder);
    assert!(!note.exists(), "the note goes with its holder");
}

#[test]
fn a_log_that_is_closed_lets_go_of_its_guests() {
    let folder = tempfile::tempdir().unwrap();
    let first = holder(folder.path());
    let guest = guest(folder.path());
    let mut reader = guest.reader().unwrap();
    guest.create(&[spec()]).unwrap();
    reader.follow(&[(partition(), Offset(0))]).unwrap();
    drop(first);
    assert!(matches!(guest.cluster(), Err(LogError::Unavailable(_))));
    assert!(matches!(reader.poll(Duration::ZERO, 1), Err(LogError::Unavailable(_))));
    let second = holder(folder.path());
    second.sender().unwrap().send(record(&partition(), "by the second"), Box::new(|it| assert!(it.is_ok()))).unwrap();
    assert_eq!(guest.cluster().unwrap(), second.cluster().unwrap(), "the guest goes through the next holder");
    assert_eq!(value(&reader.poll(PATIENCE, 1).unwrap()[0]), "by the second");
}

fn partition() -> TopicPartition {
    Topic::from("t").partition(Partition(0))
}

fn spec() -> TopicSpec {
    TopicSpec {
        topic: "t".into(),
        partitions: 1,
        retention: headwater::log::Retention::Forever,
        time: headwater::log::TimeKind::Append,
    }
}

/// The process that holds the log until it is killed. Not a test of its own.
#[test]
fn the_one_that_holds() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let log = holder(Path::new(&folder));
    log.create(&[spec()]).unwrap();
    say("holding");
    let mut reader = log.reader().unwrap();
    reader.follow(&[(partition(), Offset(0))]).unwrap();
    loop {
        for record in reader.poll(PATIENCE, 10).unwrap() {
            say(&format!("saw {}", value(&record)));
        }
    }
}

#[test]
fn two_processes_share_a_log_and_one_outlives_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let environment = [(FOLDER, folder.path().to_str().unwrap())];
    let mut process = Process::start("embedded::sharing::the_one_that_holds", &environment);
    process.await_line(|it| (it == "holding").then_some(()));
    let guest = guest(folder.path());
    let sender = guest.sender().unwrap();
    let (tell, told) = mpsc::channel();
    let send = |text: &str| {
        let tell = tell.clone();
        sender.send(record(&partition(), text), Box::new(move |it| tell.send(it).unwrap()))
    };
    send("from the guest").unwrap();
    assert_eq!(told.recv_timeout(PATIENCE).unwrap().unwrap(), Offset(0));
    process.await_line(|it| (it == "saw from the guest").then_some(()));
    let error = EmbeddedLog::open(folder.path(), Settings::default()).expect_err("it is held").to_string();
    assert!(error.contains(&format!("process {}", process.id())), "{error}");
    process.kill();
    assert!(matches!(guest.cluster(), Err(LogError::Unavailable(_))));
    // Either it is refused at once, or given up.
    let lost = send("into the void").and_then(|()| told.recv_timeout(PATIENCE).unwrap());
    assert!(matches!(lost, Err(LogError::Unavailable(_))), "{lost:?}");
    let heir = holder(folder.path());
    assert_eq!(World::new(Arc::new(heir), None).values(&partition()), ["from the guest"]);
}
