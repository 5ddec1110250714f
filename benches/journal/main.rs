//! The journal: records saved through its library calls, and read again.
//!
//! `taskset -c 0 cargo bench --bench journal -- [RECORDS]`    on the embedded log and `SQLite`, one core
//! `cargo bench --bench journal -- [RECORDS] servers`         on the servers that the environment names, where
//!     `journal topics apply` and `journal schemas push` made it ready
//!
//! Three ways to save the same number of records, 5,000 by default: at once (`save_many`), side by side, and
//! each after the answer to the one before. After each of them all records are read back (`many`), counted
//! (`count`), and the newest is read (`last`), in the view, which has folded every one of them by then.

#[path = "../processor/cpu.rs"]
mod cpu;

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use headwater::clock;
use headwater::journal::{Entity, Field, FieldType, Journal, JournalError, RecordsView, Series};
use headwater::settings::{Layers, LogSetting, Settings};
use headwater::{App, Connected};
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many calls of [`save`](Journal::save) wait for their answers at the same time.
const SIDE_BY_SIDE: usize = 500;
const RUNS: usize = 5;

#[derive(Clone, Debug, Default, PartialEq)]
struct Reading;

impl Entity for Reading {
    const NAME: &'static str = "reading";
    const FIELDS: &'static [Field] =
        &[Field::required("celsius", FieldType::Number), Field::required("sensor", FieldType::Text)];
}

fn record(number: usize) -> Value {
    json!({ "celsius": -3.5, "sensor": "a", "number": number })
}

#[derive(Clone, Copy)]
enum Way {
    AtOnce,
    SideBySide,
    OneByOne,
}

impl Way {
    const ALL: [(Self, &'static str); 3] =
        [(Self::AtOnce, "at once"), (Self::SideBySide, "side by side"), (Self::OneByOne, "one by one")];

    async fn save(self, journal: &Journal<Reading>, key: &str, records: usize) -> Result<(), JournalError> {
        match self {
            Self::AtOnce => {
                let records: Vec<_> = (0..records).map(record).collect();
                for some in records.chunks(10_000) {
                    journal.save_many(key, some).await?;
                }
            }
            Self::SideBySide => {
                let save = |number| async move { journal.save(key, &record(number)).await.map(drop) };
                stream::iter(0..records).map(save).buffer_unordered(SIDE_BY_SIDE).try_collect::<()>().await?;
            }
            Self::OneByOne => {
                for number in 0..records {
                    journal.save(key, &record(number)).await?;
                }
            }
        }
        Ok(())
    }
}

struct Figures {
    saved: Duration,
    read: Duration,
    cpu: Duration,
}

async fn measure(journal: &Journal<Reading>, way: Way, records: usize) -> Result<Figures, JournalError> {
    let key = clock::new_id().to_string();
    let (begun, used) = (clock::instant(), cpu::used_by(std::process::id()));
    way.save(journal, &key, records).await?;
    let saved = begun.elapsed();
    let read = journal.many(&key, records).await?;
    let (count, last) = (journal.count(&key).await?, journal.last(&key).await?);
    let figures = Figures {
        saved,
        read: begun.elapsed().saturating_sub(saved),
        cpu: cpu::used_by(std::process::id()).saturating_sub(used),
    };
    assert_eq!(
        (read.len(), usize::try_from(count), read.first().map(|it| it.version)),
        (records, Ok(records), Some(count))
    );
    assert_eq!(last.map(|it| it.version), Some(count));
    Ok(figures)
}

async fn connect(settings: Settings) -> Connected {
    let app = App::new("journal").aggregate::<Series<Reading>>().projection(RecordsView::<Reading>::default());
    app.connect(settings).await.expect("connected")
}

async fn run(settings: Settings, records: usize) {
    let app = connect(settings).await;
    let journal = Journal::<Reading>::new(app.calls().clone());
    for (way, name) in Way::ALL {
        let mut all = Vec::new();
        for _ in 0..RUNS {
            all.push(measure(&journal, way, records).await.expect("saved and read"));
        }
        all.sort_by_key(|it| it.saved + it.read);
        let (fastest, Figures { saved, read, cpu }) = (&all[0], &all[RUNS / 2]);
        println!(
            "{records} records {name}: {:.3} s (saved {:.3}, read {:.3}; CPU {:.3} s), the median of {RUNS}; the fastest {:.3} s",
            (*saved + *read).as_secs_f64(),
            saved.as_secs_f64(),
            read.as_secs_f64(),
            cpu.as_secs_f64(),
            (fastest.saved + fastest.read).as_secs_f64(),
        );
    }
    drop(journal);
    app.close().await.expect("closed");
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|it| it != "--bench").collect();
    let records = arguments.iter().find_map(|it| it.parse().ok()).unwrap_or(5_000);
    let on_servers = arguments.iter().any(|it| it == "servers");
    let folder = tempfile::tempdir().expect("a folder");
    let settings = if on_servers {
        Layers::of_process(None).load().expect("settings")
    } else {
        Settings { log: LogSetting::Embedded(folder.path().to_owned()), ..Settings::default() }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run(settings, records));
}
