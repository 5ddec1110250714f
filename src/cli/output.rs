//! Data on standard output: tables for people, JSON for programs. Everything else goes to standard
//! error.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use comfy_table::presets::{NOTHING, UTF8_FULL_CONDENSED};
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;

use crate::schema::json::Secrets;

/// Standard output in the shape that was asked for.
#[derive(Debug)]
pub struct Output {
    /// JSON for programs, as `--json` asks.
    pub(super) json: bool,
    out: BufWriter<Stdout>,
}

impl Output {
    pub(super) fn new(json: bool) -> Self {
        Self { json, out: BufWriter::new(io::stdout()) }
    }

    /// Whether JSON was asked for.
    #[must_use]
    pub const fn is_json(&self) -> bool {
        self.json
    }

    /// One object, or any value, on a line of its own.
    pub fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, value)?;
        self.out.write_all(b"\n")
    }

    /// A line of text.
    pub fn line(&mut self, text: impl std::fmt::Display) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// Rows as a table, or each row as a line of JSON with the columns' names as keys.
    pub fn rows<R: Serialize>(&mut self, columns: &[&str], rows: &[R]) -> io::Result<()> {
        if self.json {
            return rows.iter().try_for_each(|row| self.json(row));
        }
        let mut table = table();
        table.set_header(columns);
        for row in rows {
            let row = serde_json::to_value(row)?;
            table.add_row(columns.iter().map(|column| cell(row.get(column))));
        }
        self.line(table)
    }

    /// Hands on what was written, so that whoever reads sees it now.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn table() -> Table {
    let mut table = Table::new();
    // A program that reads the table gets words between blanks.
    let preset = if io::stdout().is_terminal() { UTF8_FULL_CONDENSED } else { NOTHING };
    table.load_style(preset).set_content_arrangement(ContentArrangement::Dynamic);
    table
}

fn cell(value: Option<&serde_json::Value>) -> String {
    match value {
        None | Some(serde_json::Value::Null) => "-".to_owned(),
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// What becomes of secret fields where `--reveal` is given or not.
pub(super) const fn secrets(reveal: bool) -> Secrets {
    if reveal { Secrets::Shown } else { Secrets::Hidden }
}
