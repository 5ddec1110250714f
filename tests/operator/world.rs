//! A folder, and processes of the application in it.

use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::FRAGILE;

/// A variable of the environment.
pub fn variable(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// An application that nobody else uses.
pub struct World {
    folder: TempDir,
    variables: Vec<(String, String)>,
    /// `broken`, or `mended`.
    pub release: &'static str,
}

/// How a command ended.
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl World {
    pub fn new(variables: Vec<(String, String)>) -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), variables, release: "broken" }
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(std::env::current_exe().expect("this binary"));
        // Nothing of this machine's own settings may reach the test.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HEADWATER_") || name == "RUST_LOG") {
            command.env_remove(name);
        }
        command.env(FRAGILE, self.release).env("HEADWATER_HTTP__LISTEN", "127.0.0.1:0").env("RUST_BACKTRACE", "0");
        command.envs(self.variables.iter().cloned());
        command.current_dir(self.folder.path()).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command(arguments).output().expect("it starts"))
    }

    /// A command in the background.
    pub fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().expect("it starts")
    }

    /// The same as [`run`](Self::run), where it must do what it is told.
    #[track_caller]
    pub fn done(&self, arguments: &[&str]) -> Ended {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}{}", ended.out, ended.err);
        ended
    }

    /// A command from a file.
    pub fn run_file(&self, arguments: &[&str], lines: &str) -> Ended {
        let file = self.folder.path().join("lines.jsonl");
        std::fs::write(&file, lines).expect("written");
        let mut arguments = arguments.to_vec();
        arguments.extend(["--from", "lines.jsonl"]);
        self.run(&arguments)
    }

    /// A worker.
    pub fn worker(&self) -> Worker {
        let mut command = self.command(&["run", "--role", "commands"]);
        Worker(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts"))
    }

    /// What is parked.
    pub fn parked(&self) -> Vec<Value> {
        self.done(&["parked", "ls", "--json"]).lines()
    }
}

/// A process that works until it is dropped, which kills it.
pub struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Ended {
    pub fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// The one line of JSON on standard output.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}\n{}\n{}", self.out, self.err))
    }

    /// Each line of standard output as JSON.
    pub fn lines(&self) -> Vec<Value> {
        let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.out.lines().map(line).collect()
    }
}
