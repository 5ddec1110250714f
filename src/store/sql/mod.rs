//! The views' databases: `PostgreSQL` and `SQLite`, behind the port of [`projection`](crate::projection).
//!
//! Each generation of a view is a schema, or a file, of its own; a small control table says which one is
//! live. Below a table that queries see lies another, with the versions and sums it is made from:
//!
//! * a table of rows is a SQL view over `NAME__rows`: for each versioned column the version it is of,
//!   `deleted__v` (the version of the last deletion, negative if that of the last restoration), and what
//!   `seen` needs;
//! * a table of rows written once is itself;
//! * a table of sums is a SQL view over `NAME__sums`, which has a row for each source partition.

mod apply;
mod ddl;
mod error;
mod live;
mod parked;
mod positions;
mod postgres;
mod rowset;
mod seen;
mod selected;
mod sqlite;
mod statements;
mod stored;

use std::sync::Arc;

use crate::projection::{ViewError, Views};

impl Views {
    /// Connects to the database of an application's views: `sqlite:FOLDER` or `postgres://…`.
    ///
    /// Application and view name the schemas, so several applications may share a database.
    ///
    /// # Errors
    /// If the address is none, or nothing answers there.
    pub async fn connect(address: &str, app: &str) -> Result<Self, ViewError> {
        match address.split_once(':') {
            Some(("sqlite", folder)) if !folder.is_empty() => {
                let folder = folder.strip_prefix("//").unwrap_or(folder);
                Ok(Self::new(Arc::new(sqlite::SqliteViews::open(folder.as_ref()).await?)))
            }
            Some(("postgres" | "postgresql", _)) => {
                Ok(Self::new(Arc::new(postgres::PostgresViews::connect(address, app).await?)))
            }
            // What follows the scheme may hold a password, so it is not repeated.
            Some((scheme, _)) => Err(wrong_address(&format!("{scheme}:…"))),
            None => Err(wrong_address(address)),
        }
    }
}

fn wrong_address(address: &str) -> ViewError {
    ViewError::Address(format!(
        "{address:?} is no address of a database for the views; write sqlite:FOLDER or \
         postgres://USER:PASSWORD@HOST:PORT/DATABASE"
    ))
}
