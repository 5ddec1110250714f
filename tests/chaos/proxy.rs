//! Stands between workers and the broker, and knows where a request ends and what it asks for: single requests and
//! responses are held, lost, delivered twice, or delivered when nobody expects them any more.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::dice::Dice;

/// What a request asks for, by Kafka's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Api {
    Produce = 0,
    Fetch = 1,
    EndTxn = 26,
    TxnOffsetCommit = 28,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mischief {
    /// It and all that comes after it on its connection wait.
    Held,
    /// The connection breaks before the broker has it.
    Lost,
    /// The connection breaks when the broker answers.
    ResponseLost,
    /// The broker gets it, and a copy later, by another connection.
    Copied,
    /// The connection breaks, and the broker gets it later, by another connection: when its sender has sent it anew.
    Late,
}

impl Mischief {
    pub const EVERY: &[Self] = &[Self::Held, Self::Lost, Self::ResponseLost, Self::Copied, Self::Late];
}

/// One in so many requests of a kind meets one of these fates.
pub type Plot = &'static [(Api, &'static [Mischief], u64)];

/// Requests that met each fate.
pub type Counts = BTreeMap<(Api, Mischief), usize>;

struct Stage {
    behind: u16,
    plot: Mutex<Option<Plot>>,
    /// Whether nothing gets through, in either direction.
    cut: watch::Sender<bool>,
    dice: Mutex<Dice>,
    counts: Mutex<Counts>,
    /// What the broker said to late ends of transactions, by Kafka's error codes; 0 is that it did what they asked for.
    late: Mutex<BTreeMap<i16, usize>>,
}

/// A proxy at work; it ends when it is dropped.
pub struct Proxy {
    stage: Arc<Stage>,
    listening: JoinHandle<()>,
}

impl Proxy {
    /// Listens on one port of this machine, for the broker that listens on another.
    pub async fn start(front: u16, behind: u16, seed: u64) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", front)).await.expect("a port that is free");
        let dice = Mutex::new(Dice(seed));
        let (plot, counts, late) = (Mutex::default(), Mutex::default(), Mutex::default());
        let stage = Arc::new(Stage { behind, plot, cut: watch::Sender::new(false), dice, counts, late });
        let listening = tokio::spawn(listen(listener, stage.clone()));
        Self { stage, listening }
    }

    /// From now on this happens; nothing, if there is no plot.
    pub fn play(&self, plot: Option<Plot>) {
        *self.stage.plot.lock().expect("not poisoned") = plot;
    }

    /// Whether nothing gets through from now on. Connections stay, and what was sent meanwhile arrives afterwards.
    pub fn cut(&self, is_cut: bool) {
        self.stage.cut.send_replace(is_cut);
    }

    /// What happened so far.
    pub fn counts(&self) -> Counts {
        self.stage.counts.lock().expect("not poisoned").clone()
    }

    /// What the broker said to late ends of transactions, by error code.
    pub fn late(&self) -> BTreeMap<i16, usize> {
        self.stage.late.lock().expect("not poisoned").clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(listener: TcpListener, stage: Arc<Stage>) {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        let stage = stage.clone();
        tokio::spawn(async move {
            // Nobody behind: the client is told so by the end of its connection.
            let Ok(broker) = TcpStream::connect(("127.0.0.1", stage.behind)).await else { return };
            let (from_client, to_client) = client.into_split();
            let (from_broker, to_broker) = broker.into_split();
            // Correlation ids of requests whose response is to be lost.
            let doomed = Mutex::new(HashSet::new());
            // When one direction ends, so does the connection.
            tokio::select! {
                _ = requests(from_client, to_broker, &stage, &doomed) => {}
                _ = responses(from_broker, to_client, &stage, &doomed) => {}
            }
        });
    }
}

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    stage: &Arc<Stage>,
    doomed: &Mutex<HashSet<i32>>,
) -> std::io::Result<()> {
    loop {
        let request = frame(&mut from).await?;
        match stage.fate(&request) {
            None => {}
            Some(Mischief::Held) => tokio::time::sleep(stage.moment()).await,
            Some(Mischief::Lost) => return Ok(()),
            Some(Mischief::ResponseLost) => {
                doomed.lock().expect("not poisoned").insert(correlation(&request[4..]));
            }
            Some(Mischief::Copied) => deliver_late(stage, request.clone()),
            Some(Mischief::Late) => {
                deliver_late(stage, request);
                return Ok(());
            }
        }
        stage.is_whole().await;
        to.write_all(&request).await?;
    }
}

async fn responses(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    stage: &Stage,
    doomed: &Mutex<HashSet<i32>>,
) -> std::io::Result<()> {
    loop {
        let response = frame(&mut from).await?;
        stage.is_whole().await;
        if doomed.lock().expect("not poisoned").contains(&correlation(&response)) {
            return Ok(());
        }
        to.write_all(&response).await?;
    }
}

/// A request or a response, with its length before it.
async fn frame(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let length = from.read_u32().await?;
    let mut frame = vec![0; 4 + length as usize];
    frame[..4].copy_from_slice(&length.to_be_bytes());
    from.read_exact(&mut frame[4..]).await?;
    Ok(frame)
}

/// By which an answer is known; after the length, in a request also after the api's number and version.
fn correlation(frame: &[u8]) -> i32 {
    frame.get(4..8).and_then(|it| it.try_into().ok()).map_or(-1, i32::from_be_bytes)
}

impl Stage {
    fn fate(&self, request: &[u8]) -> Option<Mischief> {
        let plot = (*self.plot.lock().expect("not poisoned"))?;
        let asked = request.get(4..6).and_then(|it| it.try_into().ok()).map(i16::from_be_bytes)?;
        let (api, mischief, one_in) = plot.iter().copied().find(|(api, ..)| *api as i16 == asked)?;
        let mut dice = self.dice.lock().expect("not poisoned");
        if dice.roll(one_in) > 0 {
            return None;
        }
        let place = usize::try_from(dice.roll(mischief.len() as u64)).expect("below the count");
        *self.counts.lock().expect("not poisoned").entry((api, mischief[place])).or_default() += 1;
        Some(mischief[place])
    }

    /// Waits until something gets through.
    async fn is_whole(&self) {
        // The sender is this stage's, so that it cannot be gone.
        let _ = self.cut.subscribe().wait_for(|is_cut| !is_cut).await;
    }

    fn moment(&self) -> Duration {
        Duration::from_millis(5 + self.dice.lock().expect("not poisoned").roll(400))
    }
}

/// Delivers a request in a moment, on a connection of its own.
fn deliver_late(stage: &Arc<Stage>, request: Vec<u8>) {
    let stage = stage.clone();
    tokio::spawn(async move {
        tokio::time::sleep(stage.moment()).await;
        let mut broker = TcpStream::connect(("127.0.0.1", stage.behind)).await?;
        broker.write_all(&request).await?;
        let response = frame(&mut broker).await?;
        if request[4..6] == (Api::EndTxn as i16).to_be_bytes() {
            // Length, correlation id, throttle time, and then the error code.
            let code = response.get(12..14).and_then(|it| it.try_into().ok()).map_or(-1, i16::from_be_bytes);
            *stage.late.lock().expect("not poisoned").entry(code).or_default() += 1;
        }
        std::io::Result::Ok(())
    });
}
