//! A bank of its own: topics, schemas, views and state that nobody else uses, and its command line.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::servers::Servers;

/// Far beyond what anything takes; only a hanging test gets there.
const PATIENCE: Duration = Duration::from_mins(3);

/// A bank that nobody else uses. On servers its topics and its database go when it is dropped.
pub struct Bank {
    environment: Vec<(String, String)>,
    workers: Vec<Worker>,
    servers: Option<Servers>,
    folder: TempDir,
}

/// A `bank run`.
struct Worker {
    process: Child,
    log: JoinHandle<String>,
}

impl Bank {
    /// On the embedded log, with SQLite. Each command runs all roles for its own duration.
    pub fn embedded() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let environment = vec![variable("HEADWATER_LOG", &format!("embedded:{}", folder.path().display()))];
        Self { environment, workers: Vec::new(), servers: None, folder }
    }

    /// On real servers, with its topics and schemas; nobody works yet. `None` if there are none.
    pub fn on_servers() -> Option<Self> {
        let servers = Servers::from_environment()?;
        let folder = tempfile::tempdir().expect("a folder");
        let mut environment = servers.settings();
        environment.push(variable("HEADWATER_STATE", &folder.path().join("state").display().to_string()));
        environment.push(variable("HEADWATER_TOPOLOGY__PARTITIONS", "4"));
        let bank = Self { environment, workers: Vec::new(), servers: Some(servers), folder };
        bank.succeed(&["topics", "apply"]);
        bank.succeed(&["schemas", "push"]);
        Some(bank)
    }

    /// A setting of whatever is started from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.push(variable(name, value));
    }

    /// What it stands on, if it stands on servers.
    pub fn servers(&self) -> &Servers {
        self.servers.as_ref().expect("a bank on servers")
    }

    /// One more worker, with all roles.
    pub fn start_worker(&mut self) {
        let mut process = self.command(&["run"]).stderr(Stdio::piped()).spawn().expect("the bank starts");
        let log = read_all(process.stderr.take().expect("piped"));
        self.workers.push(Worker { process, log });
    }

    /// A worker that answers at an address of its own: over HTTP if it is a gateway, of its health otherwise.
    pub fn serve(&self, arguments: &[&str]) -> Served {
        let address = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a free port").to_string();
        let is_gateway = arguments == ["run"] || arguments.contains(&"gateway");
        let setting = if is_gateway { "HEADWATER_HTTP__LISTEN" } else { "HEADWATER_HEALTH__LISTEN" };
        let mut command = self.command(arguments);
        let mut process = command.env(setting, &address).stderr(Stdio::piped()).spawn().expect("the bank starts");
        let log = read_all(process.stderr.take().expect("piped"));
        Served { worker: Some(Worker { process, log }), address }
    }

    /// Comes back once no saga is open any more.
    pub fn wait_until_sagas_have_ended(&self) {
        let deadline = headwater::clock::instant() + PATIENCE;
        loop {
            let open = self.succeed(&["sagas", "ls", "--json"]);
            if open.is_empty() {
                return;
            }
            assert!(!is_past(deadline), "these sagas do not end:\n{open}");
        }
    }

    /// Ends the oldest worker as a crash would.
    pub fn kill_a_worker(&mut self) {
        eprintln!("a killed worker said:\n{}", self.workers.remove(0).kill());
    }

    /// A command that must succeed: what it wrote to standard output.
    pub fn succeed(&self, arguments: &[&str]) -> String {
        self.start(arguments).finish()
    }

    /// The one JSON object that a command writes.
    pub fn ask(&self, arguments: &[&str]) -> Value {
        let answer = self.succeed(&[arguments, &["--json"]].concat());
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{arguments:?} is no JSON: {error}\n{answer}"))
    }

    /// The one JSON object that a command writes, whether it was accepted or refused.
    pub fn try_to(&self, arguments: &[&str]) -> Value {
        let Ended { output, errors, .. } = self.start(&[arguments, &["--json"]].concat()).end();
        serde_json::from_str(&output).unwrap_or_else(|error| panic!("{arguments:?}: {error}\n{output}\n{errors}"))
    }

    /// A command that reads standard input.
    pub fn start(&self, arguments: &[&str]) -> Running {
        let mut command = self.command(arguments);
        let process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        Running::of(arguments, process.expect("the bank starts"))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bank"));
        // Nothing of this machine's own settings may reach the test.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HEADWATER_")) {
            command.env_remove(name);
        }
        // A worker listens wherever there is room.
        command.env("HEADWATER_HTTP__LISTEN", "127.0.0.1:0");
        command.current_dir(self.folder.path()).envs(self.environment.iter().cloned()).args(arguments);
        command
    }
}

impl Drop for Bank {
    fn drop(&mut self) {
        for worker in self.workers.drain(..) {
            worker.end();
        }
    }
}

impl Worker {
    /// As a crash would; what it said.
    fn kill(mut self) -> String {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ended");
        self.log.join().expect("read")
    }

    /// As its supervisor would.
    fn stop(mut self) {
        let told = Command::new("kill").arg(self.process.id().to_string()).status();
        assert!(told.expect("kill is there").success());
        self.process.wait().expect("it ended");
        drop(self.log.join());
    }

    /// The servers' part is taken away next: there is nothing to leave in good order.
    fn end(mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("a worker said:\n{}", self.log.join().unwrap_or_default());
        }
    }
}

/// A worker that answers at an address of its own. It ends with this.
pub struct Served {
    worker: Option<Worker>,
    address: String,
}

impl Served {
    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Comes back once it is ready to be asked.
    pub fn wait_until_ready(&self) {
        let deadline = headwater::clock::instant() + PATIENCE;
        let place = format!("http://{}/readyz", self.address);
        while !reqwest::blocking::get(&place).is_ok_and(|response| response.status().is_success()) {
            assert!(!is_past(deadline), "{place} does not get ready");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Has it finish what it is at, and leave.
    pub fn stop(mut self) {
        if let Some(worker) = self.worker.take() {
            worker.stop();
        }
    }

    /// Ends it as a crash would.
    pub fn kill(mut self) {
        if let Some(worker) = self.worker.take() {
            worker.kill();
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(worker) = self.worker.take() {
            worker.end();
        }
    }
}

pub fn variable(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// A command under way.
pub struct Running {
    what: String,
    process: Child,
    input: Option<ChildStdin>,
    /// Complete lines of standard output, as they come.
    lines: Receiver<String>,
    seen: Vec<String>,
    errors: JoinHandle<String>,
}

impl Running {
    fn of(arguments: &[&str], mut process: Child) -> Self {
        let lines = read_lines(process.stdout.take().expect("piped"));
        let errors = read_all(process.stderr.take().expect("piped"));
        let input = process.stdin.take();
        Self { what: arguments.join(" "), process, input, lines, seen: Vec::new(), errors }
    }

    /// Hands it text to read.
    pub fn write(&mut self, text: &str) {
        let input = self.input.as_mut().expect("open until it is to finish");
        input
            .write_all(text.as_bytes())
            .and_then(|()| input.flush())
            .unwrap_or_else(|error| panic!("{}: {error}", self.what));
    }

    /// Waits until it has written so many lines to standard output.
    pub fn wait_for_lines(&mut self, count: usize) {
        while self.seen.len() < count {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.seen.push(line),
                Err(error) => panic!("bank {}: line {count} does not come: {error}", self.what),
            }
        }
    }

    /// Waits for its success; what it wrote to standard output.
    pub fn finish(self) -> String {
        let what = self.what.clone();
        let Ended { status, output, errors } = self.end();
        assert!(status.success(), "bank {what}: {status}\n{errors}\n{output}");
        output
    }

    /// Waits for its end: whether it succeeded, and what it wrote to standard output and standard error.
    pub fn end_as_it_may(self) -> (bool, String, String) {
        let Ended { status, output, errors } = self.end();
        (status.success(), output, errors)
    }

    fn end(mut self) -> Ended {
        drop(self.input.take());
        let deadline = headwater::clock::instant() + PATIENCE;
        let status = loop {
            if let Some(status) = self.process.try_wait().expect("its state") {
                break status;
            }
            if is_past(deadline) {
                self.process.kill().expect("it runs");
                let errors = self.errors.join().expect("read");
                panic!("bank {} does not end within {PATIENCE:?}\n{errors}", self.what);
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        self.seen.extend(self.lines.iter());
        Ended { status, output: self.seen.concat(), errors: self.errors.join().expect("read") }
    }
}

/// How a command ended.
struct Ended {
    status: ExitStatus,
    output: String,
    errors: String,
}

fn is_past(deadline: Instant) -> bool {
    headwater::clock::instant() > deadline
}

/// Reads on a thread of its own: a full pipe would stop the process.
fn read_all<R: Read + Send + 'static>(mut from: R) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = from.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    })
}

/// Reads line by line, each with its end, on a thread of its own.
fn read_lines<R: Read + Send + 'static>(from: R) -> Receiver<String> {
    let (lines, received) = channel();
    std::thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = String::new();
        while from.read_line(&mut line).is_ok_and(|length| length > 0) {
            let _ = lines.send(std::mem::take(&mut line));
        }
    });
    received
}
