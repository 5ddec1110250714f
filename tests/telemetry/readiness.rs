//! What a worker says it waits for.

use std::net::ToSocketAddrs;

use reqwest::Url;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::door::Door;
use super::working::Working;

/// A database of its own, on the server of another one.
struct Database {
    server: Url,
    name: String,
}

impl Database {
    fn on(server: Url) -> Self {
        let database = Self { server, name: format!("ready_{}", std::process::id()) };
        database.run(&format!("CREATE DATABASE {}", database.name)).expect("made");
        database
    }

    fn run(&self, statement: &str) -> Result<(), sqlx::Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut connection = PgConnection::connect(self.server.as_str()).await?;
            connection.execute(AssertSqlSafe(statement)).await?;
            connection.close().await
        })
    }

    /// Its address, at a door of its server.
    fn behind(&self, door: &Door) -> Url {
        let mut address = self.server.clone();
        address.set_host(Some("127.0.0.1")).expect("it takes one");
        address.set_port(Some(door.address.port())).expect("it takes one");
        address.set_path(&self.name);
        address
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Err(error) = self.run(&format!("DROP DATABASE {} WITH (FORCE)", self.name)) {
            eprintln!("{error}");
        }
    }
}

/// The kinds of things that it waits for; none if it is ready.
fn waits_for(working: &Working) -> Vec<String> {
    let answer = working.get("/readyz");
    let status = answer.status().as_u16();
    let said: Value = answer.json().expect("JSON");
    let waits = said["waits_for"].as_array().unwrap_or_else(|| panic!("{said}"));
    assert_eq!(status, if waits.is_empty() { 200 } else { 503 }, "{said}");
    waits.iter().map(|wait| wait["for"].as_str().expect("a kind").to_owned()).collect()
}

#[test]
fn a_worker_whose_database_goes_away_says_so_and_is_ready_again_by_itself() {
    let Ok(views) = std::env::var("HEADWATER_TEST_VIEWS") else {
        assert!(std::env::var("HEADWATER_TEST_REQUIRE").is_err(), "HEADWATER_TEST_VIEWS names no PostgreSQL");
        eprintln!("passed over: HEADWATER_TEST_VIEWS names no PostgreSQL");
        return;
    };
    let server: Url = views.parse().expect("a URL");
    let (host, port) = (server.host_str().expect("a host"), server.port().unwrap_or(5432));
    let door = Door::to((host, port).to_socket_addrs().expect("found").next().expect("an address"));
    let database = Database::on(server);
    let working = Working::start(&[("HEADWATER_VIEWS", database.behind(&door).to_string())]);
    assert_eq!(waits_for(&working), Vec::<String>::new());

    door.shut();
    working.wait_for("it waits for the database", |working| waits_for(working).iter().any(|it| it == "database"));
    // Commands need no view.
    let sent = working.command("account_registry/registry/CreateAccount", r#"{"name": "Josefa"}"#).send();
    assert!(sent.expect("an answer").status().is_success());

    door.open();
    working.wait_for("it is ready again", |working| waits_for(working).is_empty());
    let seen = working.get("/queries/AccountSummary?account_id=000001");
    assert!(seen.status().is_success(), "{seen:?}");
}
