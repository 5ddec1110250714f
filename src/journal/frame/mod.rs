//! Records as a data frame: one row for each, one column for each field, ready for pandas or polars.
//!
//! The columns are the key's `version`, the `time` it was saved at, the fields of the entity, and `other`:
//! what else is in the record, as JSON. A value that does not fit its column, in a record that is older
//! than the entity's present fields, stands in `other` as well. Parquet and Arrow need the crate's feature
//! `arrow`.

#[cfg(feature = "arrow")]
mod arrow;

use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

use serde_json::{Map, Value};

#[cfg(feature = "arrow")]
pub use self::arrow::{ArrowFile, Parquet};
use super::entity::{Field, OTHER, TIME, VERSION};
use super::query::Entry;

/// A form of a data frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameFormat {
    /// One JSON object a line.
    Jsonl,
    /// CSV, a column for each field.
    Csv,
    /// Apache Parquet, compressed with Snappy.
    #[cfg(feature = "arrow")]
    Parquet,
    /// Arrow's IPC file format, also called Feather.
    #[cfg(feature = "arrow")]
    Arrow,
}

/// A name that is no format's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// There is none of this name.
    #[error("{0:?} is no format: there are jsonl, csv, parquet and arrow")]
    Unknown(String),
    /// It needs a feature that this program was built without.
    #[error("this program was built without {0}: build it with the feature arrow, `cargo build --features arrow`")]
    NotBuilt(String),
}

impl FrameFormat {
    /// Its media type, as HTTP has it.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Jsonl => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            #[cfg(feature = "arrow")]
            Self::Parquet => "application/vnd.apache.parquet",
            #[cfg(feature = "arrow")]
            Self::Arrow => "application/vnd.apache.arrow.file",
        }
    }

    /// Begins to write records of an entity with these fields.
    pub fn writer<'w>(
        self,
        fields: &'static [Field],
        sink: impl Write + Send + 'w,
    ) -> io::Result<Box<dyn FrameWriter + 'w>> {
        Ok(match self {
            Self::Jsonl => Box::new(JsonLines(sink)),
            Self::Csv => Box::new(Csv::new(fields, sink)?),
            #[cfg(feature = "arrow")]
            Self::Parquet => Box::new(Parquet::new(fields, sink)?),
            #[cfg(feature = "arrow")]
            Self::Arrow => Box::new(ArrowFile::new(fields, sink)?),
        })
    }
}

impl FromStr for FrameFormat {
    type Err = FormatError;

    fn from_str(name: &str) -> Result<Self, FormatError> {
        match name {
            "jsonl" => Ok(Self::Jsonl),
            "csv" => Ok(Self::Csv),
            #[cfg(feature = "arrow")]
            "parquet" => Ok(Self::Parquet),
            #[cfg(feature = "arrow")]
            "arrow" => Ok(Self::Arrow),
            #[cfg(not(feature = "arrow"))]
            "parquet" | "arrow" => Err(FormatError::NotBuilt(name.to_owned())),
            _ => Err(FormatError::Unknown(name.to_owned())),
        }
    }
}

impl fmt::Display for FrameFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            #[cfg(feature = "arrow")]
            Self::Parquet => "parquet",
            #[cfg(feature = "arrow")]
            Self::Arrow => "arrow",
        })
    }
}

/// Writes records, page by page.
pub trait FrameWriter: Send {
    /// Writes some more.
    fn write(&mut self, entries: &[Entry]) -> io::Result<()>;
    /// Writes what comes after the last one.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// A record, taken apart into its columns.
pub(super) struct Row {
    /// In the order of the entity's fields; null where there is none.
    pub(super) fields: Vec<Value>,
    /// What else is there, if anything is.
    pub(super) other: Option<String>,
}

impl Row {
    /// Takes a record apart.
    pub(super) fn of(entry: &Entry, fields: &[Field]) -> io::Result<Self> {
        let mut object: Map<String, Value> = serde_json::from_str(entry.record.get())?;
        let take = |field: &Field| {
            let fits = object.get(field.name).is_some_and(|value| field.kind.fits(value));
            if fits { object.shift_remove(field.name).unwrap_or_default() } else { Value::Null }
        };
        let fields = fields.iter().map(take).collect();
        object.retain(|_, value| !value.is_null());
        let other = if object.is_empty() { None } else { Some(serde_json::to_string(&object)?) };
        Ok(Self { fields, other })
    }
}

/// JSON lines: one object for each record, `{"version":1,"time":"…","record":{…}}`.
pub struct JsonLines<W>(pub W);

impl<W: Write + Send> FrameWriter for JsonLines<W> {
    fn write(&mut self, entries: &[Entry]) -> io::Result<()> {
        for entry in entries {
            serde_json::to_writer(&mut self.0, entry)?;
            self.0.write_all(b"\n")?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.0.flush()
    }
}

/// CSV (RFC 4180), with a line of names.
pub struct Csv<W: Write> {
    fields: &'static [Field],
    writer: csv::Writer<W>,
}

impl<W: Write> Csv<W> {
    /// Begins with the names.
    pub fn new(fields: &'static [Field], sink: W) -> io::Result<Self> {
        let mut writer = csv::Writer::from_writer(sink);
        let names = [VERSION, TIME].into_iter().chain(fields.iter().map(|field| field.name)).chain([OTHER]);
        writer.write_record(names)?;
        Ok(Self { fields, writer })
    }
}

impl<W: Write + Send> FrameWriter for Csv<W> {
    fn write(&mut self, entries: &[Entry]) -> io::Result<()> {
        for entry in entries {
            let Row { fields, other } = Row::of(entry, self.fields)?;
            self.writer.write_field(entry.version.to_string())?;
            self.writer.write_field(entry.time.to_string())?;
            for value in fields {
                self.writer.write_field(as_text(value))?;
            }
            self.writer.write_field(other.unwrap_or_default())?;
            self.writer.write_record(None::<&[u8]>)?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.writer.flush()
    }
}

fn as_text(value: Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use crate::clock::Timestamp;
    use serde_json::value::RawValue;

    use super::super::entity::Entity;
    use super::super::fixtures::Reading;
    use super::*;
    use crate::clock::Moment;

    fn entry(version: i64, record: &str) -> Entry {
        let record = RawValue::from_string(record.to_owned()).expect("JSON");
        Entry { version, time: Moment(Timestamp(version * 1_000_000)), record }
    }

    fn written(format: FrameFormat) -> String {
        let mut text = Vec::new();
        let mut writer = format.writer(Reading::FIELDS, &mut text).expect("begun");
        writer.write(&[entry(2, r#"{"celsius":-0.5,"sensor":"a, \"b\""}"#)]).expect("written");
        writer.write(&[entry(1, r#"{"celsius":"cold","sensor":null,"more":[1]}"#)]).expect("written");
        writer.finish().expect("written");
        String::from_utf8(text).expect("text")
    }

    #[test]
    fn csv_has_a_column_for_each_field_and_one_for_the_rest() {
        let text = written(FrameFormat::Csv);
        let expected = "version,time,celsius,sensor,other\n\
                        2,1970-01-01T00:00:02Z,-0.5,\"a, \"\"b\"\"\",\n\
                        1,1970-01-01T00:00:01Z,,,\"{\"\"celsius\"\":\"\"cold\"\",\"\"more\"\":[1]}\"\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_format_is_known_by_its_name() {
        for name in ["jsonl", "csv"] {
            assert_eq!(name.parse::<FrameFormat>().map(|it| it.to_string()), Ok(name.to_owned()));
        }
        for name in ["parquet", "arrow"] {
            let known = name.parse::<FrameFormat>().map(|it| it.to_string());
            let expected = if cfg!(feature = "arrow") { Ok(name) } else { Err(FormatError::NotBuilt(name.to_owned())) };
            assert_eq!(known, expected.map(str::to_owned));
        }
        assert_eq!("xls".parse::<FrameFormat>(), Err(FormatError::Unknown("xls".to_owned())));
    }

    #[test]
    fn json_lines_keep_the_record_as_it_was_saved() {
        let text = written(FrameFormat::Jsonl);
        let first = r#"{"version":2,"time":"1970-01-01T00:00:02Z","record":{"celsius":-0.5,"sensor":"a, \"b\""}}"#;
        assert_eq!(text.lines().next(), Some(first));
    }
}
