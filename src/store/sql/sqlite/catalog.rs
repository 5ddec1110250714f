//! Which generations there are: the control file, and the making of a first generation.

use std::io::ErrorKind;

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection};

use super::super::ddl::{self, Dialect};
use super::super::error::view_error;
use super::super::positions;
use super::super::stored::StoredRow;
use super::write::SqliteWriting;
use super::{BEGIN_WRITING, Built, SqliteViews, options};
use crate::projection::{Generation, Shape, SourcePartition, ViewError};

async fn run(connection: &mut SqliteConnection, sql: String) -> Result<(), ViewError> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map_err(view_error)?;
    Ok(())
}

pub async fn make_control(control: &mut SqliteConnection) -> Result<(), ViewError> {
    let sql = "CREATE TABLE IF NOT EXISTS headwater_generations (view TEXT PRIMARY KEY, live BIGINT NOT NULL)";
    run(control, sql.to_owned()).await
}

impl SqliteViews {
    /// Asks for the live generation of a view, and holds its shape to this one.
    pub async fn look_up(&self, shape: &Shape) -> Result<Built, ViewError> {
        let mut control = self.control.lock().await;
        let live = live_within(&mut control, shape.view).await?;
        let live = live.ok_or_else(|| ViewError::Missing { view: shape.view.to_owned() })?;
        drop(control);
        let built = (shape.view, live);
        // The shape of a generation never changes.
        if self.live.remembered(shape.view) != Some(live) {
            let writer = self.writer(built);
            let mut writer = writer.lock().await;
            check_shape(self.connected(&mut writer, built).await?, shape).await?;
            self.live.remember(shape.view, live);
        }
        Ok(built)
    }

    /// Makes the first generation of a view if there is none, and the positions of partitions.
    pub async fn make(&self, shape: &Shape, partitions: &[SourcePartition]) -> Result<(), ViewError> {
        let mut control = self.control.lock().await;
        // Held to the end, so that no other process makes the same file.
        let mut catalog = control.begin_with(BEGIN_WRITING).await.map_err(view_error)?;
        let live = live_within(&mut catalog, shape.view).await?;
        let built = (shape.view, live.unwrap_or_default());
        if live.is_none() {
            self.create(shape, built).await?;
            let insert = sqlx::query("INSERT INTO headwater_generations (view, live) VALUES (?, ?)");
            let insert = insert.bind(shape.view).bind(built.1.0).execute(&mut *catalog);
            insert.await.map_err(view_error)?;
        }
        let writer = self.writer(built);
        let mut writer = writer.lock().await;
        let mut writing = SqliteWriting::begin(self.connected(&mut writer, built).await?).await?;
        check_shape(&mut writing.transaction, shape).await?;
        for index in ddl::indexes(shape, Dialect::Sqlite, "") {
            run(&mut writing.transaction, index).await?;
        }
        positions::begin(&mut writing, partitions).await?;
        writing.transaction.commit().await.map_err(view_error)?;
        catalog.commit().await.map_err(view_error)?;
        self.live.remember(shape.view, built.1);
        Ok(())
    }

    pub async fn create(&self, shape: &Shape, built: Built) -> Result<(), ViewError> {
        let writer = self.writer(built);
        let mut writer = writer.lock().await;
        *writer = None;
        // A file that no control row names is what a crash left of an earlier attempt.
        self.remove_files(built).await?;
        let connection = SqliteConnection::connect_with(&options(&self.file(built))).await.map_err(view_error)?;
        let mut transaction = writer.insert(connection).begin_with(BEGIN_WRITING).await.map_err(view_error)?;
        for statement in ddl::create(shape, Dialect::Sqlite, "") {
            run(&mut transaction, statement).await?;
        }
        let insert = sqlx::query("INSERT INTO headwater_shape (shape, partial) VALUES (?, FALSE)");
        insert.bind(shape.text()).execute(&mut *transaction).await.map_err(view_error)?;
        transaction.commit().await.map_err(view_error)
    }

    pub async fn remove_files(&self, built: Built) -> Result<(), ViewError> {
        for ending in ["", "-wal", "-shm"] {
            let mut file = self.file(built).into_os_string();
            file.push(ending);
            match tokio::fs::remove_file(&file).await {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(ViewError::Failed(format!("{}: {error}", file.display())));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

pub async fn live_within(control: &mut SqliteConnection, view: &str) -> Result<Option<Generation>, ViewError> {
    let select = sqlx::query("SELECT live FROM headwater_generations WHERE view = ?").bind(view.to_owned());
    let row = select.fetch_optional(control).await.map_err(view_error)?;
    row.map(|row| Ok(Generation(row.get(0)?))).transpose()
}

pub async fn check_shape(connection: &mut SqliteConnection, shape: &Shape) -> Result<(), ViewError> {
    let row = sqlx::query("SELECT shape FROM headwater_shape").fetch_one(connection).await.map_err(view_error)?;
    shape.require(row.get(0)?)
}
