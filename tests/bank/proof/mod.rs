//! The proof of the whole: many clients, sagas of which a third must compensate, and the worker that runs them
//! killed again and again. In the end every saga has ended, money is conserved at every prefix of the log, views
//! are the fold of their events, and a rebuild compares equal.

mod client;
mod crowd;
mod dice;

use super::world::Bank;
use crowd::{Crowd, Plan};

/// All that must hold when everybody has gone home.
fn assert_all_holds(bank: &Bank) {
    bank.wait_until_sagas_have_ended();
    let report = bank.ask(&["verify"]);
    assert_eq!(report["ok"], true, "{report:#}");
    let checks = report["checks"].as_array().expect("checks");
    let conserved = checks.iter().find(|check| check["rule"] == "conservation_of_money").expect("it was looked at");
    assert!(conserved["looked_at"].as_u64() > Some(0), "{conserved}");
    for view in ["accounts", "ledger"] {
        let rebuilt = bank.ask(&["rebuild", view, "--compare"]);
        let tables = rebuilt["tables"].as_array().expect("they were compared");
        assert!(tables.iter().any(|table| table["equal"].as_u64() > Some(0)), "{rebuilt:#}");
        assert_eq!(rebuilt["is_live"], true, "{rebuilt:#}");
    }
}

fn prove(plan: &Plan) {
    let Some(bank) = Bank::on_servers() else { return };
    let gateway = bank.serve(&["run", "--role", "commands", "--role", "projections", "--role", "gateway"]);
    let (told, sagas) = Crowd::new(plan, &bank, gateway.address()).run();
    eprintln!("{told:#?}");
    assert!(told.operations >= plan.operations, "{told:?}");
    assert_eq!(told.kills, plan.kills);
    assert!(3 * told.compensated >= told.begun, "a third of the sagas must compensate: {told:?}");
    assert_all_holds(&bank);
    drop((gateway, sagas));
}

#[test]
fn with_a_saga_worker_killed_again_and_again_every_saga_ends_and_everything_holds() {
    prove(&Plan { operations: 400, clients: 8, accounts: 20, kills: 5, seed: 1 });
}

#[test]
#[ignore = "minutes: 20,000 operations and 50 kills"]
fn twenty_thousand_operations_and_fifty_kills() {
    prove(&Plan { operations: 20_000, clients: 64, accounts: 500, kills: 50, seed: 1 });
}
