//! Servers that a test may stop and kill.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::bank::eventually;
use super::world::variable;

/// Servers of this test alone, so that its broker may be stopped. They and their data go when it is dropped.
pub struct OwnServers {
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

/// Free ports below those that systems give to clients: while a server is down its port must stay free, and a
/// client that tries to connect to a port of its own kind may reach itself.
fn free_ports() -> impl Iterator<Item = u16> {
    let first = 20_000 + u16::try_from(headwater::clock::new_id().as_u128() % 10_000).expect("small");
    (first..32_000).filter(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
}

impl OwnServers {
    /// Starts them. `None` where tests have no servers at all.
    pub fn if_there_are_servers() -> Option<Self> {
        if std::env::var_os("HEADWATER_TEST_KAFKA").is_none() {
            assert!(std::env::var_os("HEADWATER_TEST_REQUIRE").is_none(), "HEADWATER_TEST_KAFKA is required");
            eprintln!("skipped: HEADWATER_TEST_KAFKA is not set");
            return None;
        }
        Some(Self::start())
    }

    /// Starts them.
    pub fn start() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        if let Some(software) = software() {
            std::os::unix::fs::symlink(software, home.path().join("software")).expect("linked");
        }
        let names = ["KAFKA", "CONTROLLER", "REGISTRY", "POSTGRES", "PROXY", "PROXIED"];
        let settings = names.into_iter().zip(free_ports());
        let settings = settings.map(|(name, port)| (format!("HEADWATER_DEV_{name}_PORT"), port.to_string())).collect();
        let servers = Self { home, settings };
        servers.up();
        servers
    }

    /// Starts those that are down, and waits until they answer.
    pub fn up(&self) {
        self.dev("up");
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
    pub fn settings(&self) -> Vec<(String, String)> {
        let lines = self.dev("env");
        let lines = lines.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
        lines.map(|(name, value)| variable(name, value.trim_matches('\''))).collect()
    }

    /// Where a proxy of the broker is to listen, and where the broker is behind it.
    pub fn proxy_ports(&self) -> [u16; 2] {
        ["PROXY", "PROXIED"].map(|name| {
            let name = format!("HEADWATER_DEV_{name}_PORT");
            let (_, port) = self.settings.iter().find(|(of, _)| *of == name).expect("it was chosen");
            port.parse().expect("a port")
        })
    }

    /// Ends one of them by a signal: TERM is how whoever looks after it would, KILL is a crash.
    pub async fn end(&self, name: &str, signal: Signal) {
        let run = std::fs::read_to_string(self.home.path().join("run").join(name)).expect("it was started");
        let id = run.split_whitespace().next().and_then(|id| id.parse().ok());
        let id = id.and_then(Pid::from_raw).expect("its id");
        kill_process(id, signal).expect("it runs");
        // A process that has ended has no command line, whether somebody asked for its end or not.
        let command_line = format!("/proc/{}/cmdline", id.as_raw_nonzero());
        let has_ended = || std::fs::read(&command_line).unwrap_or_default().is_empty();
        eventually("the server ends", async || has_ended().then_some(())).await;
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
