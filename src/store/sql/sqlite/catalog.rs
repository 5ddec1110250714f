//! Which generations there are: the control file, and the making of a first generation.

use std::io::ErrorKind;

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection, Row};

use super::super::ddl::{self, Dialect};
use super::super::error::view_error;
use super::{BEGIN_WRITING, Generation, SqliteViews};
use crate::projection::{Shape, SourcePartition, ViewError};

const LIVE: &str = "SELECT live FROM headwater_generations WHERE view = ?";

async fn run(connection: &mut SqliteConnection, sql: String) -> Result<(), ViewError> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map_err(view_error)?;
    Ok(())
}

pub async fn make_control(control: &mut SqliteConnection) -> Result<(), ViewError> {
    let sql = "CREATE TABLE IF NOT EXISTS headwater_generations (view TEXT PRIMARY KEY, live BIGINT NOT NULL)";
    run(control, sql.to_owned()).await
}

impl SqliteViews {
    /// Asks for the live generation of a view.
    pub async fn look_up(&self, view: &'static str) -> Result<Generation, ViewError> {
        let mut control = self.control.lock().await;
        let row = sqlx::query(LIVE).bind(view).fetch_optional(&mut *control).await.map_err(view_error)?;
        let row = row.ok_or_else(|| ViewError::Missing { view: view.to_owned() })?;
        let generation = row.try_get(0).map_err(view_error)?;
        self.remember(view, generation);
        Ok((view, generation))
    }

    /// Makes the first generation of a view if there is none, and the positions of partitions.
    pub async fn make(&self, shape: &Shape, partitions: &[SourcePartition]) -> Result<(), ViewError> {
        let mut control = self.control.lock().await;
        // Held to the end, so that no other process makes the same file.
        let mut catalog = control.begin_with(BEGIN_WRITING).await.map_err(view_error)?;
        let row = sqlx::query(LIVE).bind(shape.view).fetch_optional(&mut *catalog).await.map_err(view_error)?;
        let generation = if let Some(row) = row {
            (shape.view, row.try_get(0).map_err(view_error)?)
        } else {
            let generation = (shape.view, 1);
            self.create(shape, generation).await?;
            let insert = sqlx::query("INSERT INTO headwater_generations (view, live) VALUES (?, ?)");
            let insert = insert.bind(shape.view).bind(generation.1).execute(&mut *catalog);
            insert.await.map_err(view_error)?;
            generation
        };
        let writer = self.writer(generation);
        let mut writer = writer.lock().await;
        let connection = self.connected(&mut writer, generation).await?;
        let mut transaction = connection.begin_with(BEGIN_WRITING).await.map_err(view_error)?;
        check_shape(&mut transaction, shape).await?;
        for index in ddl::indexes(shape, Dialect::Sqlite, "") {
            run(&mut transaction, index).await?;
        }
        add_positions(&mut transaction, partitions).await?;
        transaction.commit().await.map_err(view_error)?;
        catalog.commit().await.map_err(view_error)?;
        self.remember(shape.view, generation.1);
        Ok(())
    }

    async fn create(&self, shape: &Shape, generation: Generation) -> Result<(), ViewError> {
        // A file that no control row names is what a crash left of an earlier attempt.
        for ending in ["", "-wal", "-shm"] {
            let mut file = self.file(generation).into_os_string();
            file.push(ending);
            match tokio::fs::remove_file(&file).await {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(ViewError::Failed(format!("{}: {error}", file.display())));
                }
                _ => {}
            }
        }
        let writer = self.writer(generation);
        let mut writer = writer.lock().await;
        let connection = self.connected(&mut writer, generation).await?;
        let mut transaction = connection.begin_with(BEGIN_WRITING).await.map_err(view_error)?;
        for statement in ddl::create(shape, Dialect::Sqlite, "") {
            run(&mut transaction, statement).await?;
        }
        let insert = sqlx::query("INSERT INTO headwater_shape (shape, partial) VALUES (?, FALSE)");
        insert.bind(shape.text()).execute(&mut *transaction).await.map_err(view_error)?;
        transaction.commit().await.map_err(view_error)
    }
}

async fn check_shape(connection: &mut SqliteConnection, shape: &Shape) -> Result<(), ViewError> {
    let row = sqlx::query("SELECT shape FROM headwater_shape").fetch_one(connection).await.map_err(view_error)?;
    let stored: String = row.try_get(0).map_err(view_error)?;
    let now = shape.text();
    if stored == now { Ok(()) } else { Err(ViewError::ShapeChanged { view: shape.view.to_owned(), stored, now }) }
}

async fn add_positions(connection: &mut SqliteConnection, partitions: &[SourcePartition]) -> Result<(), ViewError> {
    let sql = "INSERT INTO headwater_positions (aggregate, partition, next_offset, sequence, epoch, replaying_to) \
               VALUES (?, ?, 0, 0, 0, 0) ON CONFLICT DO NOTHING";
    for source in partitions {
        let insert = sqlx::query(sql).bind(source.aggregate).bind(i64::from(source.partition.0));
        insert.execute(&mut *connection).await.map_err(view_error)?;
    }
    Ok(())
}
