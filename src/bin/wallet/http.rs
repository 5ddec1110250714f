//! The wallet's own paths.

use std::time::Duration;

use bytes::Bytes;
use headwater::Aggregate;
use headwater::clock;
use headwater::engine::{Calls, SendOptions};
use headwater::gateway::http::{HeaderMap, Uri};
use headwater::gateway::{self, IntoResponse, Json, Path, Problem, Response, Router, State, get, headers, post};
use headwater::query::Query;
use headwater::topology::partition_of;
use serde_json::Value;

use crate::amount::Amount;
use crate::ksuid::Ksuid;
use crate::queries::{ReadBalance, ReadHistory, ReadTransactions};
use crate::wallet::{Credit, Debit, Wallet, WalletCommand};

/// The paths, over these calls.
pub fn routes(calls: Calls) -> Router {
    Router::new()
        .route("/wallet/{id}/credit", post(credit))
        .route("/wallet/{id}/debit", post(debit))
        .route("/wallet/{id}/balance", get(balance))
        .route("/wallet/{id}/transactions", get(transactions))
        .route("/wallets/history", get(history))
        .with_state(calls)
}

async fn credit(
    State(calls): State<Calls>,
    Path(id): Path<String>,
    heads: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    send(&calls, &id, &heads, Credit { amount: amount(&body)? }).await
}

async fn debit(
    State(calls): State<Calls>,
    Path(id): Path<String>,
    heads: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    send(&calls, &id, &heads, Debit { amount: amount(&body)? }).await
}

async fn balance(
    State(calls): State<Calls>,
    Path(id): Path<String>,
    uri: Uri,
    heads: HeaderMap,
) -> Result<Response, Problem> {
    read_wallet::<ReadBalance>(&calls, &id, &uri, &heads).await
}

async fn transactions(
    State(calls): State<Calls>,
    Path(id): Path<String>,
    uri: Uri,
    heads: HeaderMap,
) -> Result<Response, Problem> {
    read_wallet::<ReadTransactions>(&calls, &id, &uri, &heads).await
}

async fn history(State(calls): State<Calls>, uri: Uri, heads: HeaderMap) -> Result<Response, Problem> {
    let (answer, _) = ask::<ReadHistory>(&calls, uri.query().unwrap_or_default(), &heads).await?;
    Ok(Json(answer).into_response())
}

fn wallet(id: &str) -> Result<Ksuid, Problem> {
    id.parse().map_err(|error| Problem::bad_input(format!("id: {error}")).with("parameter", "id"))
}

/// The one field of a body such as `{"amount": 5}`. Whatever is wrong with it is wrong with the amount.
fn amount(body: &[u8]) -> Result<Amount, Problem> {
    let wrong = |rule: String| Problem::bad_field("/amount", rule);
    let body: Value = serde_json::from_slice(body)
        .map_err(|error| wrong(format!("the body must be JSON such as {{\"amount\": 5}}: {error}")))?;
    let amount = body.get("amount").ok_or_else(|| wrong("amount is missing".to_owned()))?;
    Amount::try_from(amount).map_err(|rule| wrong(format!("amount {rule}")))
}

fn wait(calls: &Calls, heads: &HeaderMap) -> Duration {
    let settings = &calls.engine().settings.http;
    headers::preferences(heads).wait.map_or(settings.wait.0, |asked| asked.min(settings.longest_wait.0))
}

async fn send(
    calls: &Calls,
    id: &str,
    heads: &HeaderMap,
    command: impl Into<WalletCommand>,
) -> Result<Response, Problem> {
    let id = wallet(id)?;
    let command_id = headers::idempotency_key(heads)?.unwrap_or_else(clock::new_id);
    let given = headers::issued_at(heads)?;
    let now = || clock::time_of_id(command_id).is_none().then(|| calls.engine().clock.now());
    let options = SendOptions {
        wait: wait(calls, heads),
        command_id: Some(command_id),
        // A key that does not say when it was made was, for all that is known, made now.
        issued_at: given.or_else(now),
        expect: headers::expected_version(heads)?,
    };
    gateway::respond(&calls.send_to::<Wallet>(&id, command, options).await?)
}

/// The answer about one wallet, and where it stands.
async fn read_wallet<Q: Query>(calls: &Calls, id: &str, uri: &Uri, heads: &HeaderMap) -> Result<Response, Problem> {
    let id = wallet(id)?;
    let fields = format!("wallet={id}&{}", uri.query().unwrap_or_default());
    let (answer, positions) = ask::<Q>(calls, &fields, heads).await?;
    let partition = partition_of(id.as_str().as_bytes(), calls.engine().topology.partitions);
    let position = positions.into_iter().find(|it| it.aggregate == Wallet::NAME && it.partition == partition);
    let mut response = Json(answer).into_response();
    response.headers_mut().extend(position.map(|position| (headers::POSITION, headers::value(position))));
    Ok(response)
}

async fn ask<Q: Query>(
    calls: &Calls,
    fields: &str,
    heads: &HeaderMap,
) -> Result<(Option<Value>, Vec<headwater::position::Position>), Problem> {
    let at = headers::positions(heads)?;
    let answered = calls.ask_in_url(Q::NAME, fields.trim_end_matches('&'), &at, wait(calls, heads)).await?;
    Ok((answered.answer, answered.positions))
}

#[cfg(test)]
mod tests {
    use headwater::gateway::http::StatusCode;

    use super::*;

    #[test]
    fn whatever_is_no_amount_is_bad_input_that_names_the_field() {
        assert_eq!(amount(br#"{"amount": 5}"#).map(Amount::units).expect("an amount"), 5);
        for body in [
            "",
            "nonsense",
            "5",
            "[]",
            "{}",
            r#"{"amount": }"#,
            r#"{"amount": 0}"#,
            r#"{"amount": -5}"#,
            r#"{"amount": "5"}"#,
            r#"{"amount": 0.5}"#,
            r#"{"amount": 1e308}"#,
            r#"{"amount": 1e999}"#,
            r#"{"amount": NaN}"#,
            r#"{"amount": null}"#,
            r#"{"amount": 99999999999999999999}"#,
            r#"{"Amount": 5}"#,
        ] {
            let problem = amount(body.as_bytes()).expect_err(body);
            assert_eq!(problem.status(), StatusCode::BAD_REQUEST, "{body}");
            assert!(format!("{problem:?}").contains("/amount"), "{body}: {problem:?}");
        }
    }
}
