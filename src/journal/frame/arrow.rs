//! Records as Apache Arrow has them: batches of columns, in Parquet or in Arrow's own file format.
//!
//! Text is `Utf8`, a whole number `Int64`, a number `Float64`, yes or no `Boolean`, and a moment a
//! `Timestamp` of microseconds in UTC. All columns but `version` and `time` may be null.

use std::io::{self, Write};
use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_ipc::writer::FileWriter;
use arrow_schema::{ArrowError, DataType, Field as Column, Schema, SchemaRef, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde_json::Value;

use super::{FrameWriter, Row};
use crate::clock::Timestamp;
use crate::journal::entity::{Field, FieldType, OTHER, TIME, VERSION};
use crate::journal::query::Entry;

/// How many records are in memory before they are written: a row group of Parquet.
const ROW_GROUP: usize = 100_000;
const UTC: &str = "UTC";

/// Apache Parquet, compressed with Snappy.
pub struct Parquet<W: Write + Send> {
    columns: Columns,
    writer: ArrowWriter<W>,
}

impl<W: Write + Send> Parquet<W> {
    /// Begins with an empty file.
    pub fn new(fields: &'static [Field], sink: W) -> io::Result<Self> {
        let columns = Columns::of(fields);
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_row_count(Some(ROW_GROUP))
            .build();
        let writer = ArrowWriter::try_new(sink, columns.schema.clone(), Some(properties))?;
        Ok(Self { columns, writer })
    }
}

impl<W: Write + Send> FrameWriter for Parquet<W> {
    fn write(&mut self, entries: &[Entry]) -> io::Result<()> {
        Ok(self.writer.write(&self.columns.batch(entries)?)?)
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        self.writer.into_inner()?.flush()
    }
}

/// Arrow's IPC file format, also called Feather: not compressed, to be mapped into memory.
pub struct ArrowFile<W: Write> {
    columns: Columns,
    writer: FileWriter<W>,
}

impl<W: Write> ArrowFile<W> {
    /// Begins with an empty file.
    pub fn new(fields: &'static [Field], sink: W) -> io::Result<Self> {
        let columns = Columns::of(fields);
        let writer = FileWriter::try_new(sink, &columns.schema).map_err(broken)?;
        Ok(Self { columns, writer })
    }
}

impl<W: Write + Send> FrameWriter for ArrowFile<W> {
    fn write(&mut self, entries: &[Entry]) -> io::Result<()> {
        self.writer.write(&self.columns.batch(entries)?).map_err(broken)
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        self.writer.into_inner().map_err(broken)?.flush()
    }
}

/// What the file itself says stays what it is: whoever waits for room is told so.
fn broken(error: ArrowError) -> io::Error {
    match error {
        ArrowError::IoError(_, error) => error,
        error => io::Error::other(error),
    }
}

/// The columns of an entity.
struct Columns {
    fields: &'static [Field],
    schema: SchemaRef,
}

impl Columns {
    fn of(fields: &'static [Field]) -> Self {
        let moment = || DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into()));
        let column = |field: &Field| {
            let kind = match field.kind {
                FieldType::Text => DataType::Utf8,
                FieldType::Integer => DataType::Int64,
                FieldType::Number => DataType::Float64,
                FieldType::Boolean => DataType::Boolean,
                FieldType::Time => moment(),
            };
            // Also a required one: a record may be older than the entity's present fields.
            Column::new(field.name, kind, true)
        };
        let first = [Column::new(VERSION, DataType::Int64, false), Column::new(TIME, moment(), false)];
        let columns = first.into_iter().chain(fields.iter().map(column));
        let columns: Vec<Column> = columns.chain([Column::new(OTHER, DataType::Utf8, true)]).collect();
        Self { fields, schema: Arc::new(Schema::new(columns)) }
    }

    fn batch(&self, entries: &[Entry]) -> io::Result<RecordBatch> {
        let rows = entries.iter().map(|entry| Row::of(entry, self.fields)).collect::<io::Result<Vec<_>>>()?;
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        columns.push(Arc::new(entries.iter().map(|entry| Some(entry.version)).collect::<Int64Array>()));
        columns.push(moments(entries.iter().map(|entry| Some(entry.time.0))));
        for (place, field) in self.fields.iter().enumerate() {
            columns.push(values(field.kind, rows.iter().map(|row| &row.fields[place])));
        }
        columns.push(Arc::new(rows.iter().map(|row| row.other.as_deref()).collect::<StringArray>()));
        RecordBatch::try_new(self.schema.clone(), columns).map_err(broken)
    }
}

fn values<'v>(kind: FieldType, values: impl Iterator<Item = &'v Value>) -> ArrayRef {
    match kind {
        FieldType::Text => Arc::new(values.map(Value::as_str).collect::<StringArray>()),
        FieldType::Integer => Arc::new(values.map(Value::as_i64).collect::<Int64Array>()),
        FieldType::Number => Arc::new(values.map(Value::as_f64).collect::<Float64Array>()),
        FieldType::Boolean => Arc::new(values.map(Value::as_bool).collect::<BooleanArray>()),
        FieldType::Time => moments(values.map(|value| value.as_str().and_then(|text| text.parse().ok()))),
    }
}

fn moments(moments: impl Iterator<Item = Option<Timestamp>>) -> ArrayRef {
    let moments: TimestampMicrosecondArray = moments.map(|moment| moment.map(|it| it.0)).collect();
    Arc::new(moments.with_timezone(UTC))
}
