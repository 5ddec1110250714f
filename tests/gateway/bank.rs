//! A bank whose workers are processes of their own, each with a gateway.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use headwater::clock;
use reqwest::Client;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::block_in_place;

use super::servers::Servers;
use super::world::variable;

/// Far beyond what anything takes; only a hanging test gets there.
pub const PATIENCE: Duration = Duration::from_mins(3);
/// Between two looks at what is waited for.
const PAUSE: Duration = Duration::from_millis(20);

/// A bank that nobody else uses. On servers its topics and its database go when it is dropped.
pub struct Bank {
    environment: Vec<(String, String)>,
    folder: TempDir,
    servers: Option<Servers>,
}

/// A `bank run`. It is killed when it is dropped.
pub struct Worker {
    process: Child,
    pub url: String,
    log: PathBuf,
}

impl Bank {
    /// On the embedded log, with `SQLite`.
    pub fn embedded() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let environment = vec![variable("HEADWATER_LOG", &format!("embedded:{}", folder.path().display()))];
        Self { environment, folder, servers: None }
    }

    /// On the servers that the environment names. `None` if it names none.
    pub fn on_servers() -> Option<Self> {
        // They have a runtime of their own.
        let servers = block_in_place(Servers::from_environment)?;
        let mut bank = Self::with(servers.settings());
        bank.servers = Some(servers);
        Some(bank)
    }

    /// On the servers of these settings, with topics and schemas.
    pub fn with(mut environment: Vec<(String, String)>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        environment.push(variable("HEADWATER_TOPOLOGY__PARTITIONS", "4"));
        let bank = Self { environment, folder, servers: None };
        bank.succeed_at_last(&["topics", "apply"]);
        bank.succeed_at_last(&["schemas", "push"]);
        bank
    }

    /// Runs a command until it succeeds: servers that have just started may be slow to answer.
    fn succeed_at_last(&self, arguments: &[&str]) {
        let deadline = clock::instant() + PATIENCE;
        while let Err(failed) = self.run(arguments) {
            let is_temporary = failed.contains("exit status: 75");
            assert!(is_temporary && clock::instant() < deadline, "{failed}");
        }
    }

    /// The brokers and the name of the application, where it is on servers.
    pub fn cluster(&self) -> (&str, &str) {
        let servers = self.servers.as_ref().expect("it is on servers");
        (&servers.kafka, &servers.app)
    }

    /// Changes a setting of those that are started from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.push(variable(name, value));
    }

    /// A worker, once it is ready. `name` tells its state and its log from others'.
    pub async fn start(&self, name: &str, arguments: &[&str]) -> Worker {
        let worker = self.launch(name, arguments).await;
        let (http, ready) = (Client::new(), format!("{}/readyz", worker.url));
        eventually("it is ready", async || http.get(&ready).send().await.ok().filter(|it| it.status() == 200)).await;
        worker
    }

    /// A worker, once it listens.
    pub async fn launch(&self, name: &str, arguments: &[&str]) -> Worker {
        let launched = self.try_to_launch(name, arguments).await;
        launched.unwrap_or_else(|said| panic!("it ended instead of serving: {said}"))
    }

    /// A worker, once it listens; what it said, if it ended instead.
    pub async fn try_to_launch(&self, name: &str, arguments: &[&str]) -> Result<Worker, String> {
        let log = self.folder.path().join(format!("{name}.log"));
        let state = self.folder.path().join(name);
        let mut command = self.command(&[&["run"], arguments].concat());
        command.env("HEADWATER_HTTP__LISTEN", "127.0.0.1:0").env("HEADWATER_STATE", state).stdin(Stdio::null());
        if !arguments.is_empty() && !arguments.contains(&"gateway") {
            command.env("HEADWATER_HEALTH__LISTEN", "127.0.0.1:0");
        }
        // Every customer of these tests comes from the same address.
        command.env("HEADWATER_HTTP__CONCURRENCY_PER_CLIENT", "0");
        let process = command.stderr(File::create(&log).expect("a log")).spawn().expect("it starts");
        let mut worker = Worker { process, url: String::new(), log };
        worker.url = eventually("an address", async || worker.address()).await?;
        Ok(worker)
    }

    /// What a command wrote that must succeed.
    pub fn succeed(&self, arguments: &[&str]) -> String {
        self.run(arguments).unwrap_or_else(|failed| panic!("{failed}"))
    }

    /// What a command wrote; what it said instead, if it failed.
    pub fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let Output { status, stdout, stderr } = self.command(arguments).output().expect("it runs");
        let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        if status.success() { Ok(out.into_owned()) } else { Err(format!("{arguments:?}: {status}\n{out}\n{err}")) }
    }

    /// How many events an account has, which is its version.
    pub fn version(&self, account: &str) -> i64 {
        self.inspect(account)["version"].as_i64().expect("a version")
    }

    /// An account as it is folded from the log.
    pub fn inspect(&self, account: &str) -> Value {
        let shown = self.succeed(&["inspect", "account", account, "--json"]);
        serde_json::from_str(&shown).expect("JSON")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bank"));
        // Nothing of this machine's own settings may reach the test.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HEADWATER_") || name == "RUST_LOG") {
            command.env_remove(name);
        }
        command.current_dir(self.folder.path()).envs(self.environment.iter().cloned()).args(arguments);
        command
    }
}

impl Drop for Bank {
    fn drop(&mut self) {
        block_in_place(|| drop(self.servers.take()));
    }
}

impl Worker {
    /// Where it listens, once it says so; or what it said, if it has ended.
    fn address(&mut self) -> Option<Result<String, String>> {
        if let Some(said) = self.last_words() {
            return Some(Err(said));
        }
        let said = self.said();
        let lines = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let is_serving = |line: &Value| line["message"].as_str().is_some_and(|it| it.starts_with("serving "));
        let serving = lines.into_iter().find(is_serving)?;
        Some(Ok(format!("http://{}", serving["address"].as_str()?)))
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// A new account's id.
    pub async fn open_account(&self) -> String {
        let path = format!("{}/account_registry/registry/CreateAccount", self.url);
        let fields = json!({"name": "Josefa", "initial_deposit": "1.00"});
        let (http, key) = (Client::new(), clock::new_id().to_string());
        // One whose outcome is not known yet is sent again under its key.
        let outcome: Value = eventually("an account", async || {
            let request = http.post(&path).header("idempotency-key", &key).timeout(PATIENCE).json(&fields);
            let sent = request.send().await.expect("an answer");
            if sent.status().is_server_error() { None } else { sent.json().await.ok() }
        })
        .await;
        outcome["data"].as_str().unwrap_or_else(|| panic!("no account: {outcome}")).to_owned()
    }

    /// How much memory it has, in MiB.
    pub fn memory_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
    }

    /// Asks it to leave.
    pub fn leave(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw).expect("its id");
        kill_process(id, signal).expect("it runs");
    }

    /// What it said, if it has ended.
    pub fn last_words(&mut self) -> Option<String> {
        self.process.try_wait().expect("its state").map(|status| format!("{status}\n{}", self.said()))
    }

    /// Waits until it has left; whether in good order.
    pub async fn ended(mut self) -> bool {
        eventually("it ends", async || self.process.try_wait().expect("its state")).await.success()
    }

    /// Ends it as a crash would.
    pub fn kill(mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ended");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // One that has ended is not there to be killed.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("a worker said:\n{}", self.said());
        }
    }
}

/// Waits until there is something.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = clock::instant() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(clock::instant() < deadline, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(PAUSE).await;
    }
}
