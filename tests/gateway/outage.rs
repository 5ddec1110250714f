//! A broker that is away for a while, under load.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use headwater::clock;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::bank::{Bank, Worker, eventually};
use super::customers::Customers;
use super::world::variable;

const CUSTOMERS: usize = 64;
/// What a worker may take beyond what it took under the same load before the outage.
const ROOM_MIB: u64 = 64;

/// Servers of this test alone, so that its broker may be stopped. They and their data go when it is dropped.
struct OwnServers {
    home: TempDir,
    settings: Vec<(String, String)>,
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/dev")
}

/// Where the servers' software is, if it was fetched before.
fn software() -> Option<PathBuf> {
    let named = |name: &str| std::env::var_os(name).filter(|it| !it.is_empty()).map(PathBuf::from);
    let caches = named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")));
    let home = named("HEADWATER_DEV_HOME").or_else(|| Some(caches?.join("headwater-dev")))?;
    Some(home.join("software")).filter(|it| it.is_dir())
}

impl OwnServers {
    /// Starts them. `None` where tests have no servers at all.
    fn start() -> Option<Self> {
        if std::env::var_os("HEADWATER_TEST_KAFKA").is_none() {
            assert!(std::env::var_os("HEADWATER_TEST_REQUIRE").is_none(), "HEADWATER_TEST_KAFKA is required");
            eprintln!("skipped: HEADWATER_TEST_KAFKA is not set");
            return None;
        }
        let home = tempfile::tempdir().expect("a folder");
        if let Some(software) = software() {
            std::os::unix::fs::symlink(software, home.path().join("software")).expect("linked");
        }
        let ports = ["KAFKA", "CONTROLLER", "REGISTRY", "POSTGRES"].map(|name| {
            // Held together, so that they are apart.
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            (format!("HEADWATER_DEV_{name}_PORT"), listener)
        });
        let port = |(name, it): &(String, std::net::TcpListener)| {
            (name.clone(), it.local_addr().expect("its address").port().to_string())
        };
        let settings = ports.iter().map(port).collect();
        drop(ports);
        let servers = Self { home, settings };
        servers.dev("up");
        Some(servers)
    }

    fn dev(&self, command: &str) -> String {
        let mut dev = Command::new(script());
        dev.arg(command).envs(self.settings.iter().cloned()).env("HEADWATER_DEV_HOME", self.home.path());
        // What it starts keeps what it inherits: a pipe would never end.
        let errors = std::fs::File::create(self.home.path().join("dev.log")).expect("a log");
        let done = dev.stdin(Stdio::null()).stderr(errors).stdout(Stdio::piped()).output().expect("deploy/dev runs");
        let said = || std::fs::read_to_string(self.home.path().join("dev.log")).unwrap_or_default();
        assert!(done.status.success(), "deploy/dev {command}: {}", said());
        String::from_utf8(done.stdout).expect("text")
    }

    /// What points a bank at them.
    fn settings(&self) -> Vec<(String, String)> {
        let lines = self.dev("env");
        let lines = lines.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
        lines.map(|(name, value)| variable(name, value.trim_matches('\''))).collect()
    }

    /// Stops the broker in good order, as whoever looks after it would.
    async fn stop_broker(&self) {
        let run = std::fs::read_to_string(self.home.path().join("run/kafka")).expect("it was started");
        let id = run.split_whitespace().next().and_then(|id| id.parse().ok());
        let id = id.and_then(Pid::from_raw).expect("its id");
        kill_process(id, Signal::TERM).expect("it runs");
        // A process that has ended has no command line, whether somebody asked for its end or not.
        let command_line = format!("/proc/{}/cmdline", id.as_raw_nonzero());
        let has_ended = || std::fs::read(&command_line).unwrap_or_default().is_empty();
        eventually("the broker ends", async || has_ended().then_some(())).await;
    }
}

impl Drop for OwnServers {
    fn drop(&mut self) {
        for command in ["down", "reset"] {
            let mut dev = Command::new(script());
            dev.arg(command).envs(self.settings.iter().cloned()).env("HEADWATER_DEV_HOME", self.home.path());
            let _ = dev.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
    }
}

/// The broker is away for so long while customers pay. How long it takes after its return until a payment is
/// accepted.
async fn outage(servers: &OwnServers, away: Duration) -> Duration {
    let bank = Bank::with(servers.settings());
    let worker: Worker = bank.start("worker", &[]).await;
    let mut accounts = Vec::new();
    for _ in 0..8 {
        accounts.push(worker.open_account().await);
    }
    let customers = Customers::begin(&worker.url, &accounts, CUSTOMERS, false);
    customers.have(300, 200).await;
    let before = worker.memory_mib();
    servers.stop_broker().await;
    let gone_at = clock::instant();
    // Everybody is told so, soon, and again and again.
    customers.have(10 * CUSTOMERS, 503).await;
    let mut most = before;
    while gone_at.elapsed() < away {
        most = most.max(worker.memory_mib());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let gone_for = gone_at.elapsed();
    servers.dev("up");
    let back_at = clock::instant();
    customers.have(1, 200).await;
    let recovered = back_at.elapsed();
    customers.have(300, 200).await;
    most = most.max(worker.memory_mib());
    let answers = customers.answers();
    let payments = customers.finish().await;
    println!(
        "away for {gone_for:.1?}, accepted again {recovered:.1?} after its return; memory {before} MiB before, \
         {most} MiB at most; answers {answers:?}"
    );
    assert!(most <= before + ROOM_MIB, "from {before} MiB to {most} MiB");
    payments.are_kept(&bank, &worker.url).await;
    bank.succeed(&["verify"]);
    recovered
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts servers of its own; on a machine that is very busy partitions were seen to wait for minutes"]
async fn while_the_broker_is_away_everybody_is_told_and_nothing_acknowledged_is_lost() {
    let Some(servers) = OwnServers::start() else { return };
    outage(&servers, Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes two minutes, and asks how long something takes"]
async fn a_minute_without_the_broker_is_over_fifteen_seconds_after_its_return() {
    let Some(servers) = OwnServers::start() else { return };
    let recovered = outage(&servers, Duration::from_mins(1)).await;
    assert!(recovered <= Duration::from_secs(15), "{recovered:?}");
}
