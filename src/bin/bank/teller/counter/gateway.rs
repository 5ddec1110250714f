//! A gateway, over HTTP.

use std::time::Duration;

use headwater::position::Position;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;
use uuid::Uuid;

use super::{CounterError, Slip, Verdict, WAIT};

const POSITION: &str = "headwater-position";
/// A little longer than the gateway itself waits.
const ANSWER_WAIT: Duration = WAIT.saturating_add(Duration::from_secs(2));

/// A gateway.
pub struct Gateway {
    address: Url,
    client: Client,
}

impl Gateway {
    /// The gateway at this address, for example `http://localhost:8080`.
    pub fn at(address: &Url) -> Result<Self, CounterError> {
        let client = Client::builder().timeout(ANSWER_WAIT).build();
        let client = client.map_err(|error| CounterError::Failed(error.to_string()))?;
        Ok(Self { address: address.clone(), client })
    }

    fn place(&self, path: &[&str]) -> Result<Url, CounterError> {
        let mut place = self.address.clone();
        let no_base = |()| CounterError::Input(format!("{} is no address of a gateway", self.address));
        place.path_segments_mut().map_err(no_base)?.pop_if_empty().extend(path);
        Ok(place)
    }

    pub(super) async fn send(&self, slip: &Slip, command_id: Uuid) -> Result<Verdict, CounterError> {
        let place = self.place(&[slip.aggregate, &slip.id, slip.command])?;
        let request = self.client.post(place).header("idempotency-key", command_id.to_string()).json(&slip.data);
        let response = answer(request).await?;
        let position = response.headers().get(POSITION).and_then(|value| value.to_str().ok()?.parse().ok());
        let status = response.status();
        let body: Value = response.json().await.map_err(|error| CounterError::Silent(error.to_string()))?;
        if status.is_success() {
            return Ok(Verdict::Accepted { data: body["data"].clone(), position });
        }
        if status == StatusCode::UNPROCESSABLE_ENTITY {
            let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
            return Ok(Verdict::Refused { code: text("code"), message: text("detail") });
        }
        Err(problem(status, &body))
    }

    pub(super) async fn ask(
        &self,
        query: &str,
        fields: &[(&str, String)],
        at: &[Position],
    ) -> Result<Option<Value>, CounterError> {
        let mut place = self.place(&["queries", query])?;
        if !fields.is_empty() {
            place.query_pairs_mut().extend_pairs(fields);
        }
        let request = self.client.get(place).header("prefer", format!("wait={}", WAIT.as_secs()));
        let request = at.iter().fold(request, |request, position| request.header(POSITION, position.to_string()));
        let response = answer(request).await?;
        let status = response.status();
        let body: Value = response.json().await.map_err(|error| CounterError::Silent(error.to_string()))?;
        if status.is_success() {
            return Ok(Some(body));
        }
        if status == StatusCode::NOT_FOUND && body["code"] == "no_such_thing" {
            return Ok(None);
        }
        Err(problem(status, &body))
    }
}

async fn answer(request: RequestBuilder) -> Result<Response, CounterError> {
    request.send().await.map_err(|error| {
        // The library's own words leave out why.
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        CounterError::Silent(format!("{error}{cause}"))
    })
}

fn problem(status: StatusCode, body: &Value) -> CounterError {
    let detail = body["detail"].as_str().or(body["title"].as_str()).unwrap_or("no reason was given");
    let told = match body["pointer"].as_str() {
        Some(pointer) => format!("{pointer}: {detail}"),
        None => detail.to_owned(),
    };
    let silent = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
    if silent.contains(&status) {
        CounterError::Silent(told)
    } else if status.is_client_error() {
        CounterError::Input(told)
    } else {
        CounterError::Failed(format!("{status}: {told}"))
    }
}
