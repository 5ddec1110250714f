//! `load`: how many requests a second are answered through HTTP, and how long each takes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use hdrhistogram::Histogram;
use headwater::cli::{CliError, CliResult, Command, Console, Exit};
use headwater::clock;
use headwater::settings::{HttpSettings, Period};
use serde::Serialize;

use crate::ksuid::Ksuid;

/// Credits or reads wallets through HTTP and reports requests per second and latency
#[derive(clap::Args)]
pub struct Load {
    /// Where a wallet serves HTTP; by default where this application would
    #[arg(long)]
    url: Option<String>,
    /// How many clients send at the same time, each one request after the other
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    workers: u32,
    /// How long each of them pauses between two requests, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0)]
    period: u64,
    /// How long to send: 500ms, 10s, 2m
    #[arg(long, value_name = "TIME", default_value = "10s")]
    duration: Period,
    /// How many requests to send at most, within that time
    #[arg(long, value_name = "NUMBER")]
    requests: Option<u64>,
    /// Over how many wallets, all of them new; with one it is hot
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    wallets: u32,
    /// This wallet instead of new ones
    #[arg(long, value_name = "ID", conflicts_with = "wallets")]
    wallet: Option<Ksuid>,
    /// What is asked for
    #[arg(long, value_enum, default_value = "credit")]
    what: What,
}

/// A request.
#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum What {
    /// A credit of 1
    Credit,
    /// What is there
    Balance,
    /// The last 100 transactions
    Transactions,
}

impl Command for Load {
    const NAME: &'static str = "load";
    const EXAMPLES: &'static str = "  {bin} run &
  {bin} load --workers 64 --period 0
  {bin} load --workers 64 --period 10 --wallets 1000 --duration 1m --json
  {bin} load --workers 1 --wallet 0ujtsYcgvSTl8PAuAdqWYSMnLOv --what balance";

    async fn run(self, console: Console) -> CliResult {
        let listen = console.settings().http.listen.unwrap_or(HttpSettings::USUAL);
        let url = self.url.clone().unwrap_or_else(|| format!("http://{listen}"));
        let client = reqwest::Client::builder().pool_max_idle_per_host(self.workers as usize).build();
        let client = client.map_err(CliError::failed)?;
        let wallets = self.wallet.map_or_else(|| (0..self.wallets).map(|_| Ksuid::new()).collect(), |id| vec![id]);
        let (what, left) = (self.what, AtomicU64::new(self.requests.unwrap_or(u64::MAX)));
        let begun = clock::instant();
        let until = begun + self.duration.0;
        let period = Duration::from_millis(self.period);
        let workers = (0..self.workers as usize).map(|number| {
            let target =
                Target { client: client.clone(), url: &url, wallets: &wallets, what, until, period, left: &left };
            // A runtime of many threads serves them all.
            target.work(number)
        });
        let mut total = Tally::default();
        for tally in join_all(workers).await {
            total.add(tally)?;
        }
        let report = total.report(begun.elapsed());
        show(&console, &report)?;
        match total.problem {
            Some(problem) if report.answered == 0 => Err(CliError::new(Exit::Temporary, problem)
                .help("start a wallet that serves HTTP with `wallet run`, or name one with --url")),
            Some(problem) => Err(CliError::failed(format!("{} requests failed, one with: {problem}", report.failed))),
            None => Ok(()),
        }
    }
}

struct Target<'l> {
    client: reqwest::Client,
    url: &'l str,
    wallets: &'l [Ksuid],
    what: What,
    until: Instant,
    period: Duration,
    /// How many requests all of them may still send.
    left: &'l AtomicU64,
}

impl Target<'_> {
    async fn work(self, number: usize) -> Tally {
        let mut tally = Tally::default();
        for wallet in self.wallets.iter().cycle().skip(number) {
            let begun = clock::instant();
            if begun >= self.until || !self.may_send() {
                break;
            }
            match self.ask(wallet).await {
                Ok(()) => tally.note(begun.elapsed()),
                Err(problem) => tally.fail(problem),
            }
            if !self.period.is_zero() || tally.failed > tally.answered {
                clock::sleep(self.period.max(Duration::from_millis(u64::from(tally.failed > tally.answered)))).await;
            }
        }
        tally
    }

    fn may_send(&self) -> bool {
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }

    async fn ask(&self, wallet: &Ksuid) -> Result<(), String> {
        let at = |what| format!("{}/wallet/{wallet}/{what}", self.url);
        let request = match self.what {
            What::Credit => {
                let request = self.client.post(at("credit"));
                request.header("content-type", "application/json").body("{\"amount\": 1}")
            }
            What::Balance => self.client.get(at("balance")),
            What::Transactions => self.client.get(at("transactions")),
        };
        let response = request.send().await.map_err(|error| error.to_string())?;
        let (status, body) = (response.status(), response.text().await.map_err(|error| error.to_string())?);
        if status.is_success() { Ok(()) } else { Err(format!("{status}: {body}")) }
    }
}

/// What came of some requests.
struct Tally {
    /// In microseconds, up to a minute.
    latencies: Histogram<u64>,
    answered: u64,
    failed: u64,
    problem: Option<String>,
}

impl Default for Tally {
    fn default() -> Self {
        let latencies = Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are sound");
        Self { latencies, answered: 0, failed: 0, problem: None }
    }
}

impl Tally {
    fn note(&mut self, took: Duration) {
        self.answered += 1;
        self.latencies.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    fn fail(&mut self, problem: String) {
        self.failed += 1;
        self.problem.get_or_insert(problem);
    }

    fn add(&mut self, other: Self) -> CliResult {
        self.latencies.add(other.latencies).map_err(|error| CliError::failed(format!("{error:?}")))?;
        (self.answered, self.failed) = (self.answered + other.answered, self.failed + other.failed);
        self.problem = self.problem.take().or(other.problem);
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn report(&self, took: Duration) -> Report {
        let millis = |quantile| self.latencies.value_at_quantile(quantile) as f64 / 1000.0;
        Report {
            answered: self.answered,
            failed: self.failed,
            seconds: (took.as_secs_f64() * 1000.0).round() / 1000.0,
            per_second: (self.answered as f64 / took.as_secs_f64()).round(),
            p50_ms: millis(0.5),
            p90_ms: millis(0.9),
            p99_ms: millis(0.99),
            p999_ms: millis(0.999),
            max_ms: self.latencies.max() as f64 / 1000.0,
        }
    }
}

/// What is reported; times in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
struct Report {
    answered: u64,
    failed: u64,
    seconds: f64,
    per_second: f64,
    p50_ms: f64,
    p90_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    max_ms: f64,
}

fn show(console: &Console, report: &Report) -> CliResult {
    const COLUMNS: [&str; 9] =
        ["answered", "failed", "seconds", "per_second", "p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms"];
    let mut output = console.output();
    output.rows(&COLUMNS, std::slice::from_ref(report))?;
    Ok(output.flush()?)
}
