//! An application of its own: topics, schemas, views and state that nobody else uses, and its command line.

use std::io::Write;
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::servers::Servers;

/// An application that nobody else uses. On servers its topics and its database go when it is dropped.
pub struct World {
    binary: &'static str,
    environment: Vec<(String, String)>,
    workers: Vec<Child>,
    folder: TempDir,
    _servers: Option<Servers>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl World {
    /// On the embedded log, with SQLite. Each command runs all roles for its own duration, until there is a
    /// worker.
    pub fn embedded(binary: &'static str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let environment = vec![variable("HEADWATER_LOG", &format!("embedded:{}", folder.path().display()))];
        Self { binary, environment, workers: Vec::new(), folder, _servers: None }
    }

    /// On real servers, with a worker. `None` if there are none.
    pub fn on_servers(binary: &'static str) -> Option<Self> {
        let servers = Servers::from_environment()?;
        let folder = tempfile::tempdir().expect("a folder");
        let mut environment = servers.settings();
        environment.push(variable("HEADWATER_STATE", &folder.path().join("state").display().to_string()));
        environment.push(variable("HEADWATER_TOPOLOGY__PARTITIONS", "4"));
        let mut world = Self { binary, environment, workers: Vec::new(), folder, _servers: Some(servers) };
        world.succeed(&["topics", "apply"]);
        world.succeed(&["schemas", "push"]);
        world.start_worker(&[]);
        Some(world)
    }

    /// The folder where commands run.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Sets what every command from now on finds in its environment.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.push(variable(name, value));
    }

    /// A worker with all roles.
    pub fn start_worker(&mut self, arguments: &[&str]) {
        let arguments = [&["run"], arguments].concat();
        self.workers.push(self.command(&arguments).stdin(Stdio::null()).spawn().expect("the application starts"));
    }

    /// A worker that serves HTTP, once it is ready. Gives its address.
    pub fn serve(&mut self) -> String {
        // Free at this moment, and nobody else's a moment later.
        let address = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a free port");
        self.set("HEADWATER_HTTP__LISTEN", &address.to_string());
        self.start_worker(&[]);
        let url = format!("http://{address}");
        let deadline = headwater::clock::instant() + Duration::from_mins(2);
        while !reqwest::blocking::get(format!("{url}/readyz")).is_ok_and(|it| it.status().is_success()) {
            assert!(headwater::clock::instant() < deadline, "nobody is ready at {address}");
            std::thread::sleep(Duration::from_millis(50));
        }
        url
    }

    /// A command, ended.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with_input(arguments, "")
    }

    /// A command that reads this, ended.
    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Ended {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the application starts");
        // One that reads nothing may have ended already.
        let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
        Ended::of(child.wait_with_output().expect("it ends"))
    }

    /// What a command wrote that must succeed.
    pub fn succeed(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
        ended.out
    }

    /// The one line of JSON that a command writes.
    pub fn ask(&self, arguments: &[&str]) -> Value {
        let out = self.succeed(arguments);
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {out}"))
    }

    /// A command, to be started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.binary);
        // Nothing of this machine's own settings may reach the test.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HEADWATER_") || name == "RUST_LOG") {
            command.env_remove(name);
        }
        command.current_dir(self.folder.path()).envs(self.environment.iter().cloned()).args(arguments);
        command
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            let _ = worker.kill();
            let _ = worker.wait();
        }
    }
}

impl Ended {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

pub fn variable(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}
