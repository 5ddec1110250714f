//! The README's guide to HTTP: its lines are run by a shell against a bank, and answered as it says.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::guide::section;
use super::world::{World, signal};

/// Far beyond what anything takes; only a hanging test gets there.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between what one command wrote and the next.
const END: &str = "-- end of the output --";

/// A line of the guide, and what is shown below it, where `…` stands for anything.
struct Step {
    command: String,
    shown: Vec<String>,
}

fn steps(text: &str) -> Vec<Step> {
    let blocks = text.split("```console\n").skip(1).filter_map(|block| Some(block.split_once("```")?.0));
    let mut steps: Vec<Step> = Vec::new();
    for line in blocks.flat_map(str::lines) {
        match line.strip_prefix("$ ") {
            Some(command) => steps.push(Step { command: command.to_owned(), shown: Vec::new() }),
            None => steps.last_mut().expect("a command comes first").shown.push(line.to_owned()),
        }
    }
    steps
}

/// A bank that serves, with these settings.
struct Served {
    worker: Child,
    address: String,
}

impl Served {
    fn start(world: &World, settings: &[(&str, &str)]) -> Self {
        // An idle stream ends soon after its reader did.
        let mut worker = world.command(&["run"]);
        worker.env("HEADWATER_HTTP__HEARTBEAT", "1s").envs(settings.iter().copied());
        let mut worker = worker.spawn().expect("the bank starts");
        let mut log = BufReader::new(worker.stderr.take().expect("piped")).lines();
        let serving = log.by_ref().map_while(Result::ok).find(|line| line.contains("serving HTTP"));
        let serving: serde_json::Value = serde_json::from_str(&serving.expect("it serves")).expect("JSON");
        let address = serving["address"].as_str().expect("an address").to_owned();
        // What it says afterwards is read away, or the pipe would fill.
        std::thread::spawn(move || log.map_while(Result::ok).for_each(drop));
        let served = Self { worker, address };
        served.wait_until_ready();
        served
    }

    fn wait_until_ready(&self) {
        let deadline = headwater::clock::instant() + PATIENCE;
        let ready =
            || reqwest::blocking::get(format!("http://{}/readyz", self.address)).is_ok_and(|it| it.status() == 200);
        while !ready() {
            assert!(headwater::clock::instant() < deadline, "it does not become ready");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Has one shell run these lines, and holds what they write to what is shown.
    fn answers(&self, steps: &[Step]) {
        let mut shell = Command::new("bash");
        let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell");
        let lines: Vec<_> = steps.iter().map(|step| format!("{}\necho\necho '{END}'\n", step.command)).collect();
        let script = lines.concat().replace("localhost:8080", &self.address);
        shell.stdin.take().expect("piped").write_all(script.as_bytes()).expect("written");
        let output = shell.wait_with_output().expect("it ends").stdout;
        let output = String::from_utf8(output).expect("text");
        let written: Vec<&str> = output.split_terminator(&format!("{END}\n")).collect();
        assert_eq!(written.len(), steps.len(), "{output}");
        for (Step { command, shown }, written) in steps.iter().zip(written) {
            let (shown, written) = (shown.join("\n"), written.trim_end());
            assert!(is_like(written, &shown), "{command}\nis said to write\n{shown}\nand writes\n{written}");
        }
    }

    fn stop(mut self) {
        signal(&self.worker, "TERM");
        assert_eq!(self.worker.wait().expect("it ends").code(), Some(0));
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Of no effect after it has stopped.
        let _ = self.worker.kill();
        let _ = self.worker.wait();
    }
}

/// Whether a text is the pattern, with something in place of each `…`, on the same line.
fn is_like(text: &str, pattern: &str) -> bool {
    let pattern: Vec<String> = pattern.split('…').map(regex::escape).collect();
    regex::Regex::new(&format!("^{}$", pattern.join(".+"))).expect("a pattern").is_match(text)
}

#[test]
fn what_is_shown_is_what_is_written_but_for_the_ellipses() {
    assert!(is_like("{\"id\":\"abc\",\"n\":1}", "{\"id\":\"…\",\"n\":1}"));
    assert!(!is_like("{\"id\":\"abc\",\"n\":2}", "{\"id\":\"…\",\"n\":1}"));
    assert!(!is_like("one\ntwo\nthree", "one…three"));
}

#[test]
fn http_answers_as_the_readme_says() {
    let text = section("Over HTTP");
    let (open, with_tokens) = text.split_once("`http.token`").expect("tokens are told of at the end");
    let world = World::new();
    let served = Served::start(&world, &[]);
    let every = steps(open);
    assert!(every.len() >= 17, "{}", every.len());
    served.answers(&every);
    served.stop();
    let tokens = [("HEADWATER_HTTP__TOKEN", "writer"), ("HEADWATER_HTTP__READ_TOKEN", "reader")];
    let served = Served::start(&world, &tokens);
    served.answers(&steps(with_tokens));
    served.stop();
}
