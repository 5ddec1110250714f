//! A `bank run` on the embedded log, whose log is read as it comes.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use reqwest::blocking::{Client, RequestBuilder, Response};
use serde_json::Value;
use tempfile::TempDir;

/// Far beyond what anything takes; only a hanging test gets there.
pub const PATIENCE: Duration = Duration::from_mins(2);
/// Between two looks at what is waited for.
pub const PAUSE: Duration = Duration::from_millis(20);

/// A bank at work.
pub struct Working {
    process: Child,
    lines: Receiver<Value>,
    pub http: Client,
    pub url: String,
    _folder: TempDir,
}

/// A bank's command line without any setting of this machine, on an embedded log in a folder.
pub fn bank(folder: &TempDir, settings: &[(&str, String)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bank"));
    let is_ours = |name: &String| ["HEADWATER_", "OTEL_", "RUST_LOG"].iter().any(|prefix| name.starts_with(prefix));
    for (name, _) in std::env::vars().filter(|(name, _)| is_ours(name)) {
        command.env_remove(name);
    }
    command.current_dir(folder.path()).env("HEADWATER_LOG", format!("embedded:{}", folder.path().display()));
    command.envs(settings.iter().map(|(name, value)| (*name, value)));
    command
}

impl Working {
    /// Starts it, and waits until it is ready.
    pub fn start(settings: &[(&str, String)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = bank(&folder, settings);
        command.env("HEADWATER_HTTP__LISTEN", "127.0.0.1:0");
        let mut process = command.arg("run").stderr(Stdio::piped()).spawn().expect("it starts");
        let stderr = BufReader::new(process.stderr.take().expect("piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).unwrap_or(Value::String(line)));
            }
        });
        let mut working = Self { process, lines, http: Client::new(), url: String::new(), _folder: folder };
        let serving = working.wait_for_line("serving HTTP");
        working.url = format!("http://{}", serving["address"].as_str().expect("an address"));
        working.wait_for("it is ready", |working| working.get("/readyz").status().is_success());
        working
    }

    pub fn get(&self, path: &str) -> Response {
        self.http.get(format!("{}{path}", self.url)).send().expect("an answer")
    }

    /// A command of JSON, to be sent.
    pub fn command(&self, path: &str, data: &str) -> RequestBuilder {
        let request = self.http.post(format!("{}/{path}", self.url)).header("content-type", "application/json");
        request.body(data.to_owned())
    }

    /// The next line of its log with this message.
    pub fn wait_for_line(&self, message: &str) -> Value {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("it never says {message:?}"));
            if line["message"] == message {
                return line;
            }
        }
    }

    /// The lines of its log that have come since the last look.
    pub fn lines_so_far(&self) -> impl Iterator<Item = Value> {
        self.lines.try_iter()
    }

    pub fn wait_for(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let deadline = headwater::clock::instant() + PATIENCE;
        while !is_so(self) {
            assert!(headwater::clock::instant() < deadline, "{what}: not within {PATIENCE:?}");
            std::thread::sleep(PAUSE);
        }
    }

    /// Asks it to leave.
    pub fn leave(&self) {
        let id = i32::try_from(self.process.id()).ok().and_then(rustix::process::Pid::from_raw).expect("its id");
        rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it runs");
    }

    /// Waits until it has left; whether in good order.
    pub fn ended(mut self) -> bool {
        self.process.wait().expect("it ends").success()
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        // One that has ended is not there to be killed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
