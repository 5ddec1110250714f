//! What the databases' errors mean for the engine.

use std::error::Error;

use crate::projection::ViewError;

/// Classes of `SQLSTATE` after which the same call may succeed: connection, transaction rollback,
/// resources, operator intervention, system. `55P03` is a lock that was not available.
const TEMPORARY: [&str; 5] = ["08", "40", "53", "57", "58"];
/// `SQLite`'s primary codes of the same kind: busy, locked, interrupted, I/O, full.
const TEMPORARY_SQLITE: [i32; 5] = [5, 6, 9, 10, 13];

pub fn view_error(error: sqlx::Error) -> ViewError {
    match &error {
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            let text = match database.code() {
                Some(code) => format!("{} ({code})", database.message()),
                None => database.message().to_owned(),
            };
            if is_temporary(&code) { ViewError::Unavailable(text) } else { ViewError::Failed(text) }
        }
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::BeginFailed
        | sqlx::Error::WorkerCrashed => ViewError::Unavailable(with_sources(&error)),
        sqlx::Error::Configuration(_) => ViewError::Address(with_sources(&error)),
        _ => ViewError::Failed(with_sources(&error)),
    }
}

fn is_temporary(code: &str) -> bool {
    // A SQLSTATE has five characters, SQLite's extended codes are numbers of at most four digits.
    if code.len() == 5 {
        return code == "55P03" || TEMPORARY.iter().any(|class| code.starts_with(class));
    }
    code.parse::<i32>().is_ok_and(|code| TEMPORARY_SQLITE.contains(&(code & 0xff)))
}

fn with_sources(error: &sqlx::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let reason = error.to_string();
        if !text.contains(&reason) {
            text = format!("{text}: {reason}");
        }
        source = error.source();
    }
    text
}
