//! Runs a test on each database, and leaves nothing behind.

use std::future::Future;

use headwater::clock;
use headwater::projection::Views;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use tempfile::TempDir;

/// A database for one test.
pub struct Database {
    pub views: Views,
    pub address: String,
    pub app: String,
    _place: Place,
}

enum Place {
    Folder(#[expect(dead_code, reason = "removed when dropped")] TempDir),
    Schemas(String, String),
}

impl Database {
    pub async fn sqlite() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let address = format!("sqlite:{}", folder.path().display());
        let views = Views::connect(&address, "bank").await.expect("a folder of SQLite files");
        Some(Self { views, address, app: "bank".to_owned(), _place: Place::Folder(folder) })
    }

    pub async fn postgres() -> Option<Self> {
        let Ok(address) = std::env::var("HEADWATER_TEST_VIEWS") else {
            assert!(std::env::var("HEADWATER_TEST_REQUIRE").is_err(), "HEADWATER_TEST_VIEWS names no PostgreSQL");
            eprintln!("passed over: HEADWATER_TEST_VIEWS names no PostgreSQL");
            return None;
        };
        let app = format!("t{:08x}", clock::random() & 0xffff_ffff);
        let views = Views::connect(&address, &app).await.expect("PostgreSQL answers");
        Some(Self { views, address: address.clone(), app: app.clone(), _place: Place::Schemas(address, app) })
    }

    /// The same database as another process would see it.
    pub async fn again(&self) -> Views {
        Views::connect(&self.address, &self.app).await.expect("it answered before")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Self::Schemas(address, app) = self {
            let (address, app) = (address.clone(), app.clone());
            // A runtime of its own: this one may be at its end.
            let dropped = std::thread::spawn(move || runtime().block_on(drop_schemas(&address, &app)));
            let _ = dropped.join();
        }
    }
}

async fn drop_schemas(address: &str, app: &str) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect(address).await?;
    let select = sqlx::query("SELECT nspname::text FROM pg_namespace WHERE starts_with(nspname, $1)");
    for row in select.bind(format!("{app}_")).fetch_all(&mut connection).await? {
        let drop = format!("DROP SCHEMA \"{}\" CASCADE", row.get::<String, _>(0));
        sqlx::query(AssertSqlSafe(drop)).execute(&mut connection).await?;
    }
    Ok(())
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// Runs a test on a database, if it is there.
pub fn run<T: Future<Output = ()>>(database: impl Future<Output = Option<Database>>, test: impl FnOnce(Database) -> T) {
    runtime().block_on(async {
        if let Some(database) = database.await {
            test(database).await;
        }
    });
}

/// Each of these functions is a promise of both databases.
macro_rules! promises_of_both {
    ($($promise:ident),* $(,)?) => {
        mod sqlite {
            $(#[test] fn $promise() { crate::database::run(crate::database::Database::sqlite(), super::$promise); })*
        }

        mod postgres {
            $(#[test] fn $promise() { crate::database::run(crate::database::Database::postgres(), super::$promise); })*
        }
    };
}
pub(crate) use promises_of_both;
