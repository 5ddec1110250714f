//! A trace runs from a client's request to every view, whatever becomes of the collector.

use std::net::TcpListener;

use super::collector::{Collector, Trace};
use super::working::{Working, bank};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// The span at the end of a path of names, if every one of them stands below the one before.
fn follow(trace: &Trace, names: &[&str]) -> Option<String> {
    names.iter().try_fold(CALLER.to_owned(), |parent, name| trace.below(&parent, name))
}

#[test]
fn a_trace_runs_from_the_request_over_command_and_commit_to_the_views() {
    let collector = Collector::start();
    let working = Working::start(&[("HEADWATER_TELEMETRY__OTLP", format!("http://{}", collector.address))]);
    let created = working
        .http
        .post(format!("{}/account_registry/registry/CreateAccount", working.url))
        .header("traceparent", format!("00-{TRACE}-{CALLER}-01"))
        .header("content-type", "application/json")
        .body(r#"{"name": "Josefa", "initial_deposit": "10.00"}"#)
        .send()
        .expect("an answer");
    assert!(created.status().is_success(), "{created:?}");

    let request = "POST /{aggregate}/{id}/{command}";
    let judged = [request, "send bank.account_registry.commands", "judge CreateAccount"];
    let seen = [&judged[..], &["commit", "project accounts"]].concat();
    // What it handed on follows from its commit.
    let opened = [&judged[..], &["commit", "judge OpenAccount"]].concat();
    let shown = [&opened[..], &["commit", "project ledger"]].concat();
    working.wait_for("every span", |_| {
        let trace = collector.trace(TRACE);
        [&seen, &shown].into_iter().all(|path| follow(&trace, path).is_some())
    });
    let trace = collector.trace(TRACE);
    let command = follow(&trace, &judged).unwrap_or_else(|| panic!("{}", trace.shown()));
    assert!(trace.says(&command, "outcome").is_some_and(|outcome| outcome.contains("accepted")));
    assert!(trace.says(&command, "aggregate").is_some_and(|aggregate| aggregate.contains("account_registry")));
    assert!(trace.says(&command, "command_id").is_some());
}

/// Two accounts with money in them.
fn two_accounts(working: &Working) {
    for name in ["Josefa", "Antonin"] {
        let data = format!(r#"{{"name": "{name}", "initial_deposit": "10.00"}}"#);
        let created = working.command("account_registry/registry/CreateAccount", &data).send().expect("an answer");
        assert!(created.status().is_success(), "{created:?}");
    }
}

#[test]
fn a_trace_runs_through_a_saga_to_the_account_at_its_other_end() {
    let collector = Collector::start();
    let working = Working::start(&[("HEADWATER_TELEMETRY__OTLP", format!("http://{}", collector.address))]);
    two_accounts(&working);
    let data = r#"{"transaction_id": "rent", "funded_account": "000002", "amount": "4.00"}"#;
    let header = format!("00-{TRACE}-{CALLER}-01");
    let asked = working.command("account/000001/Transfer", data).header("traceparent", header);
    let asked = asked.send().expect("an answer");
    assert!(asked.status().is_success(), "{asked:?}");

    let request = "POST /{aggregate}/{id}/{command}";
    let debited = [request, "send bank.account.commands", "judge Transfer", "commit"];
    let credited = [&debited[..], &["judge CreditTransfer", "commit", "project accounts"]].concat();
    working.wait_for("every span", |_| follow(&collector.trace(TRACE), &credited).is_some());
}

#[test]
fn a_request_that_is_not_to_be_recorded_makes_no_spans() {
    let collector = Collector::start();
    let working = Working::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", collector.address))]);
    let ask = |trace: &str, flags: &str| {
        let header = format!("00-{trace}-{CALLER}-{flags}");
        let asked = working.http.get(format!("{}/queries/BankStats", working.url)).header("traceparent", header);
        assert!(asked.send().expect("an answer").status().is_success());
    };
    let unrecorded = TRACE.replace("4b", "5c");
    ask(&unrecorded, "00");
    ask(TRACE, "01");
    working.wait_for("the recorded one", |_| collector.trace(TRACE).below(CALLER, "GET /queries/{query}").is_some());
    assert_eq!(collector.trace(&unrecorded).shown(), "");
}

#[test]
fn a_collector_that_is_away_hurts_nobody() {
    // Nobody listens there any more.
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = bank(&folder, &[("HEADWATER_TELEMETRY__OTLP", format!("http://{address}"))]);
    let command = command.args(["send", "account_registry", "registry", "CreateAccount", r#"{"name": "Josefa"}"#]);
    let sent = command.arg("--json").output().expect("it runs");
    let (out, err) = (String::from_utf8_lossy(&sent.stdout), String::from_utf8_lossy(&sent.stderr));
    assert!(sent.status.success() && out.contains("\"accepted\""), "{out}\n{err}");
    assert!(err.contains("traces cannot be exported"), "{err}");
}
