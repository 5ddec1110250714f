//! One client of the bank, over HTTP: it says what it wants until it knows what became of it.

use std::time::Duration;

use headwater::clock;
use reqwest::StatusCode;
use serde_json::Value;

/// Far beyond what anything takes; only a hanging test gets there.
const PATIENCE: Duration = Duration::from_mins(3);
const PAUSE: Duration = Duration::from_millis(100);

/// What became of a command.
#[derive(Debug)]
pub enum Verdict {
    /// The data of its reply.
    Accepted(Value),
    /// The code.
    Refused(String),
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    address: String,
}

impl Client {
    /// Of the gateway at this address.
    pub fn of(address: &str) -> Self {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(15)).build().expect("a client");
        Self { http, address: address.to_owned() }
    }

    /// What is there.
    pub async fn get(&self, path: &str) -> Option<String> {
        let response = self.http.get(format!("http://{}{path}", self.address)).send().await.ok()?;
        response.error_for_status().ok()?.text().await.ok()
    }

    /// Comes back once the gateway answers.
    pub async fn ready(&self) {
        let deadline = clock::instant() + PATIENCE;
        while self.get("/readyz").await.is_none() {
            assert!(clock::instant() < deadline, "the gateway does not get ready");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Sends a command under one key until its outcome is known.
    pub async fn tell(&self, aggregate: &str, id: &str, command: &str, data: &Value) -> Verdict {
        let (key, deadline) = (clock::new_id().to_string(), clock::instant() + PATIENCE);
        let place = format!("http://{}/{aggregate}/{id}/{command}", self.address);
        loop {
            let sent = self.http.post(&place).header("idempotency-key", &key).json(data).send().await;
            let told = match sent {
                Ok(response) => (response.status(), response.json::<Value>().await.unwrap_or_default()),
                Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string().into()),
            };
            match told {
                (StatusCode::OK, outcome) => return Verdict::Accepted(outcome["data"].clone()),
                (StatusCode::UNPROCESSABLE_ENTITY, problem) => {
                    return Verdict::Refused(problem["code"].as_str().expect("a code").to_owned());
                }
                (status, told) => {
                    let again = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT].contains(&status);
                    assert!(again && clock::instant() < deadline, "{place}: {status}: {told}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}
