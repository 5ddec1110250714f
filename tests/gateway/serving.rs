//! A bank that serves HTTP in a process of its own, on the embedded log or on real servers.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use headwater::clock;
use reqwest::blocking::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::servers::Servers;
use crate::world::variable;

/// Far beyond what anything takes; only a hanging test gets there.
const PATIENCE: Duration = Duration::from_mins(2);

/// A bank that nobody else uses.
pub struct Bank {
    process: Option<Child>,
    environment: Vec<(String, String)>,
    client: Client,
    pub address: String,
    pub servers: Option<Servers>,
    folder: TempDir,
}

impl Bank {
    /// On the embedded log, with SQLite.
    pub fn embedded(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let log = variable("HEADWATER_LOG", &format!("embedded:{}", folder.path().display()));
        Self::start(folder, None, vec![log], settings)
    }

    /// On real servers; `None` if there are none.
    pub fn on_servers(settings: &[(&str, &str)]) -> Option<Self> {
        let servers = Servers::from_environment()?;
        let folder = tempfile::tempdir().expect("a folder");
        let mut environment = servers.settings();
        environment.push(variable("HEADWATER_STATE", &folder.path().join("state").display().to_string()));
        environment.push(variable("HEADWATER_TOPOLOGY__PARTITIONS", "2"));
        Some(Self::start(folder, Some(servers), environment, settings))
    }

    fn start(
        folder: TempDir,
        servers: Option<Servers>,
        mut environment: Vec<(String, String)>,
        settings: &[(&str, &str)],
    ) -> Self {
        environment.extend(settings.iter().map(|(name, value)| variable(name, value)));
        environment.push(variable("HEADWATER_HTTP__LISTEN", "127.0.0.1:0"));
        let client = Client::builder().timeout(PATIENCE).build().expect("a client");
        let mut bank = Self { process: None, environment, client, address: String::new(), servers, folder };
        if bank.servers.is_some() {
            bank.succeed(&["topics", "apply"]);
            bank.succeed(&["schemas", "push"]);
        }
        bank.work();
        bank
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

    fn succeed(&self, arguments: &[&str]) {
        let output = self.command(arguments).output().expect("the bank starts");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn work(&mut self) {
        let mut process = self.command(&["run"]).stderr(Stdio::piped()).spawn().expect("the bank starts");
        let mut log = BufReader::new(process.stderr.take().expect("piped")).lines();
        self.process = Some(process);
        let serving = log.by_ref().map_while(Result::ok).find(|line| line.contains("serving HTTP"));
        let serving: Value = serde_json::from_str(&serving.expect("it serves")).expect("JSON");
        serving["address"].as_str().expect("an address").clone_into(&mut self.address);
        // What it says afterwards is for whoever looks into a failure.
        std::thread::spawn(move || log.map_while(Result::ok).for_each(|line| eprintln!("{line}")));
        wait_for("it is ready", || self.get("/readyz").send().is_ok_and(|it| it.status() == 200));
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("http://{}{path}", self.address))
    }

    pub fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.client.post(format!("http://{}{path}", self.address)).json(body)
    }

    /// Has it leave, and work again with these settings as well.
    pub fn restart(&mut self, settings: &[(&str, &str)]) {
        let mut process = self.process.take().expect("it runs");
        let id = rustix::process::Pid::from_child(&process);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it is ours");
        assert!(process.wait().expect("it ends").success());
        self.environment.extend(settings.iter().map(|(name, value)| variable(name, value)));
        self.work();
    }

    /// Ends the process as a crash would.
    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Drop for Bank {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits for something that must come.
pub fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = clock::instant() + PATIENCE;
    while !is_so() {
        assert!(clock::instant() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Holds an answer to its status and, where it is an error, to the form of a problem with this code.
pub fn is(response: Response, status: u16, code: &str) -> Value {
    let (said, kind) = (response.status().as_u16(), response.headers().get("content-type").cloned());
    let text = response.text().expect("text");
    assert_eq!(said, status, "{text}");
    let body: Value = serde_json::from_str(&text).unwrap_or_else(|_| json!({}));
    if status >= 400 {
        assert_eq!(kind.as_ref().and_then(|it| it.to_str().ok()), Some("application/problem+json"), "{text}");
        assert_eq!((&body["status"], &body["code"]), (&json!(status), &json!(code)), "{text}");
    }
    body
}
