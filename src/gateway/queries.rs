//! `GET /queries/{Query}`.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use xxhash_rust::xxh3::xxh3_64;

use super::Gate;
use super::answers::{Question, Shown, shown};
use super::commands::json_response;
use super::headers;
use super::problem::Problem;
use crate::position::{Position, Sequence};

/// The parameter that is no field of any query: a position to wait for.
const AT: &str = "at";

/// Asks a view, once it has reached the positions given.
pub async fn ask(
    State(gate): State<Arc<Gate>>,
    path: Result<Path<String>, PathRejection>,
    RawQuery(parameters): RawQuery,
    heads: HeaderMap,
) -> Result<Response, Problem> {
    let Path(name) = path?;
    let unknown = gate.calls.engine().app.find_query(&name).err();
    if let Some(error) = unknown {
        return Err(Problem::not_found("unknown_query", error.rule));
    }
    let mut at = headers::positions(&heads)?;
    let fields = fields(parameters.as_deref().unwrap_or_default(), &mut at)?;
    let shown = if at.is_empty() {
        gate.answers.ask(Question { name: name.clone(), fields }).await?
    } else {
        let wait = gate.wait(headers::preferences(&heads).wait);
        Arc::new(shown(gate.calls.ask_in_url(&name, &fields, &at, wait).await?))
    };
    let Some(body) = &shown.body else {
        return Err(Problem::not_found("no_such_thing", format!("{name} knows of no such thing")));
    };
    Ok(respond(body, &shown, &heads))
}

/// The query's own fields, and the positions among them.
fn fields(parameters: &str, at: &mut Vec<Position>) -> Result<String, Problem> {
    let text = percent_decode_str(parameters).decode_utf8();
    text.map_err(|_| Problem::bad_input("the query part of the URL is no UTF-8"))?;
    let mut fields = String::with_capacity(parameters.len());
    for parameter in parameters.split('&') {
        let position = parameter.split_once('=').filter(|(name, _)| *name == AT);
        if let Some((_, position)) = position {
            if at.len() == headers::MOST_POSITIONS {
                return Err(Problem::bad_field("/at", "too many positions"));
            }
            let position = percent_decode_str(position).decode_utf8_lossy().parse::<Position>();
            at.push(position.map_err(|error| Problem::bad_field("/at", error.to_string()))?);
        } else {
            let between = if fields.is_empty() { "" } else { "&" };
            let _ = write!(fields, "{between}{parameter}");
        }
    }
    Ok(fields)
}

fn respond(body: &Bytes, shown: &Shown, asked: &HeaderMap) -> Response {
    let flags = shown.flags;
    let tag = format!("W/\"{:x}\"", xxh3_64(body) ^ flags.parked ^ (u64::from(flags.partial) << 63));
    let mut response = if headers::is_known(asked, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        json_response(StatusCode::OK, body.clone())
    };
    let heads = response.headers_mut();
    heads.insert(header::ETAG, headers::value(tag));
    // It may be kept, and must be asked for again each time: the answer changes with every event.
    heads.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    heads.insert(headers::POSITION, headers::value(&shown.positions));
    if flags.parked > 0 {
        heads.insert(headers::PARKED, flags.parked.into());
    }
    if flags.partial {
        heads.insert(headers::PARTIAL, HeaderValue::from_static("true"));
    }
    response
}

/// Positions as a header has them; partitions without events say nothing.
pub(super) fn listed(positions: &[Position]) -> String {
    let mut list = String::new();
    for position in positions.iter().filter(|position| position.sequence > Sequence::NONE) {
        let between = if list.is_empty() { "" } else { ", " };
        let _ = write!(list, "{between}{position}");
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_among_the_parameters_are_no_fields() {
        let mut at = Vec::new();
        let fields = fields("id=a%26b&at=account/3:7&at=account%2F1%3A2&limit=5", &mut at).expect("sound");
        assert_eq!(fields, "id=a%26b&limit=5");
        assert_eq!(at.iter().map(ToString::to_string).collect::<Vec<_>>(), ["account/3:7", "account/1:2"]);
    }

    #[test]
    fn what_is_no_text_is_refused() {
        fields("id=%ff", &mut Vec::new()).expect_err("no UTF-8");
        fields("at=here", &mut Vec::new()).expect_err("no position");
    }
}
