//! The headers that the gateway understands, and what they say.

use std::str::FromStr;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use uuid::Uuid;

use super::problem::Problem;
use crate::clock::Timestamp;
use crate::position::{Position, Version};

/// Names a command: a repeat is answered with the first outcome.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// When a command was issued, where its key does not say so itself.
pub const ISSUED_AT: HeaderName = HeaderName::from_static("headwater-issued-at");
/// Where a partition stands: of a command its own, of a query those that it waits for or was answered at.
pub const POSITION: HeaderName = HeaderName::from_static("headwater-position");
/// How many aggregates the views of a query no longer fold.
pub const PARKED: HeaderName = HeaderName::from_static("headwater-parked");
/// Whether a view of a query was reset to something else than its first event.
pub const PARTIAL: HeaderName = HeaderName::from_static("headwater-partial");
/// Says one request from another, in the log too.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// RFC 7240.
pub const PREFER: HeaderName = HeaderName::from_static("prefer");
/// RFC 7240.
pub const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// More positions than any view has partitions to wait for are a mistake.
pub(super) const MOST_POSITIONS: usize = 1000;

/// An aggregate's version as an entity tag.
pub fn etag(version: Version) -> HeaderValue {
    value(format_args!("\"{version}\""))
}

/// A header's value of text that holds visible ASCII only.
pub fn value(text: impl std::fmt::Display) -> HeaderValue {
    HeaderValue::try_from(text.to_string()).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// The one value of a header as text.
fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::bad_header(name, "is given more than once"));
    }
    first.to_str().map(|text| Some(text.trim())).map_err(|_| Problem::bad_header(name, "must be text in ASCII"))
}

fn parsed<T: FromStr>(text: &str, name: &HeaderName, rule: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::bad_header(name, rule))
}

/// The command's id. Quotes around it, as a structured header has them, may be left out.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<Uuid>, Problem> {
    let Some(key) = text(headers, &IDEMPOTENCY_KEY)? else { return Ok(None) };
    let key = key.strip_prefix('"').and_then(|it| it.strip_suffix('"')).unwrap_or(key);
    parsed(key, &IDEMPOTENCY_KEY, "must be a UUID; one of version 7 says itself when it was made").map(Some)
}

/// When the command was issued.
pub fn issued_at(headers: &HeaderMap) -> Result<Option<Timestamp>, Problem> {
    let time = text(headers, &ISSUED_AT)?;
    time.map(|time| parsed(time, &ISSUED_AT, "must be a time such as 2026-01-31T12:00:00Z")).transpose()
}

/// The version at which the aggregate must stand.
pub fn expected_version(headers: &HeaderMap) -> Result<Option<Version>, Problem> {
    const RULE: &str = "must be one version in quotes, such as \"7\"";
    let Some(tag) = text(headers, &header::IF_MATCH)? else { return Ok(None) };
    let version = tag.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    let digits = version.filter(|it| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit()));
    let version = digits.ok_or_else(|| Problem::bad_header(&header::IF_MATCH, RULE))?;
    parsed(version, &header::IF_MATCH, RULE).map(|version| Some(Version(version)))
}

/// Whether `tag`, an entity tag, is one of those that the client has.
pub fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    let lists = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(str::trim).any(|known| known == "*" || opaque(known) == opaque(tag))
}

/// What a client would rather have: RFC 7240.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Preferences {
    /// An answer before the outcome is there.
    pub respond_async: bool,
    /// To wait so long.
    pub wait: Option<Duration>,
}

/// As the RFC has it, whatever is not understood is passed over.
pub fn preferences(headers: &HeaderMap) -> Preferences {
    let mut preferences = Preferences::default();
    let lists = headers.get_all(PREFER).iter().filter_map(|list| list.to_str().ok());
    for preference in lists.flat_map(|list| list.split([',', ';'])) {
        match preference.split_once('=').map(|(name, value)| (name.trim(), value.trim().trim_matches('"'))) {
            None => preferences.respond_async |= preference.trim().eq_ignore_ascii_case("respond-async"),
            Some((name, seconds)) if name.eq_ignore_ascii_case("wait") => {
                preferences.wait = seconds.parse().ok().map(Duration::from_secs).or(preferences.wait);
            }
            Some(_) => {}
        }
    }
    preferences
}

/// The positions to wait for, each header a list of some.
pub fn positions(headers: &HeaderMap) -> Result<Vec<Position>, Problem> {
    let mut positions = Vec::new();
    for list in headers.get_all(POSITION) {
        let list = list.to_str().map_err(|_| Problem::bad_header(&POSITION, "must be text in ASCII"))?;
        for text in list.split(',').map(str::trim).filter(|text| !text.is_empty()) {
            if positions.len() == MOST_POSITIONS {
                return Err(Problem::bad_header(&POSITION, "too many positions"));
            }
            let position = text.parse::<Position>();
            positions.push(position.map_err(|error| Problem::bad_header(&POSITION, &error.to_string()))?);
        }
    }
    Ok(positions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, text)| (name.clone(), HeaderValue::from_str(text).expect("a value"))).collect()
    }

    #[test]
    fn a_key_is_a_uuid_with_or_without_quotes() {
        let id = crate::clock::new_id();
        for text in [id.to_string(), format!("\"{id}\"")] {
            assert_eq!(idempotency_key(&headers(&[(IDEMPOTENCY_KEY, &text)])).expect("a key"), Some(id));
        }
        assert_eq!(idempotency_key(&HeaderMap::new()).expect("none"), None);
        idempotency_key(&headers(&[(IDEMPOTENCY_KEY, "mine")])).expect_err("no UUID");
    }

    #[test]
    fn a_header_that_stands_for_one_thing_is_given_once() {
        let mut twice = headers(&[(header::IF_MATCH, "\"1\"")]);
        twice.append(header::IF_MATCH, HeaderValue::from_static("\"2\""));
        expected_version(&twice).expect_err("two versions");
    }

    #[test]
    fn an_expected_version_is_one_strong_tag() {
        let version = |text: &str| expected_version(&headers(&[(header::IF_MATCH, text)]));
        assert_eq!(version("\"7\"").expect("a version"), Some(Version(7)));
        for text in ["7", "\"\"", "*", "W/\"7\"", "\"-1\"", "\"+1\"", "\"1\", \"2\"", "\"99999999999999999999\""] {
            version(text).expect_err(text);
        }
    }

    #[test]
    fn preferences_are_understood_in_any_order_and_unknown_ones_passed_over() {
        let preferred = |text: &str| preferences(&headers(&[(PREFER, text)]));
        let wait = Some(Duration::from_secs(5));
        assert_eq!(preferred("wait=5"), Preferences { respond_async: false, wait });
        assert_eq!(preferred("handling=lenient, Respond-Async, wait=\"5\""), Preferences { respond_async: true, wait });
        assert_eq!(preferred("wait=soon, x"), Preferences::default());
    }

    #[test]
    fn positions_come_in_lists_and_in_several_headers() {
        let mut both = headers(&[(POSITION, "account/3:7, account/1:2")]);
        both.append(POSITION, HeaderValue::from_static("registry/0:1"));
        let texts: Vec<_> = positions(&both).expect("positions").iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["account/3:7", "account/1:2", "registry/0:1"]);
        positions(&headers(&[(POSITION, "account/3")])).expect_err("no position");
    }

    #[test]
    fn a_known_tag_is_found_in_a_list_weak_or_strong() {
        let known = |list: &str| is_known(&headers(&[(header::IF_NONE_MATCH, list)]), "W/\"a1\"");
        assert!(known("W/\"a1\"") && known("\"x\", \"a1\"") && known("*"));
        assert!(!known("\"x\"") && !is_known(&HeaderMap::new(), "W/\"a1\""));
    }
}
