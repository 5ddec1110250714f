//! Two generations of a view, after the same events, held to each other row by row.

use serde::Serialize;
use xxhash_rust::xxh3::Xxh3Default;

use super::rows::{Paging, shown_key};
use crate::projection::{Cell, Reading, RowKey, Shape, Table, ViewError};

/// How many keys of differing rows are named.
const EXAMPLES: usize = 5;

/// What the comparison of one table came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableComparison {
    /// The table.
    pub table: &'static str,
    /// How many rows are the same in both.
    pub equal: u64,
    /// How many have the same key and differ in another column.
    pub different: u64,
    /// How many only the live generation has.
    pub only_live: u64,
    /// How many only the new generation has.
    pub only_new: u64,
    /// The hash over the live generation's rows, in the order of their keys.
    pub live_hash: String,
    /// The same of the new generation's.
    pub new_hash: String,
    /// Some keys of rows that are not the same.
    pub examples: Vec<String>,
}

impl TableComparison {
    /// Whether both hold the same rows.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.live_hash == self.new_hash && self.different + self.only_live + self.only_new == 0
    }
}

/// Compares what queries see of every table.
///
/// # Errors
/// If the database is away.
pub async fn compare(
    shape: &Shape,
    live: &mut dyn Reading,
    new: &mut dyn Reading,
) -> Result<Vec<TableComparison>, ViewError> {
    let mut compared = Vec::with_capacity(shape.tables.len());
    for table in &shape.tables {
        compared.push(compare_table(table, Rows::of(table, live), Rows::of(table, new)).await?);
    }
    Ok(compared)
}

async fn compare_table(table: &Table, mut live: Rows<'_>, mut new: Rows<'_>) -> Result<TableComparison, ViewError> {
    let (mut equal, mut different, mut only_live, mut only_new) = (0, 0, 0, 0);
    let mut examples = Vec::new();
    let (mut of_live, mut of_new) = (live.next().await?, new.next().await?);
    loop {
        let order = match (&of_live, &of_new) {
            (None, None) => break,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some((one, _)), Some((other, _))) => one.cmp(other),
        };
        let is_equal = order.is_eq() && of_live == of_new;
        let counted = match order {
            std::cmp::Ordering::Less => &mut only_live,
            std::cmp::Ordering::Greater => &mut only_new,
            std::cmp::Ordering::Equal if is_equal => &mut equal,
            std::cmp::Ordering::Equal => &mut different,
        };
        *counted += 1;
        let row = if order.is_gt() { &of_new } else { &of_live };
        if let Some((key, _)) = row
            && !is_equal
            && examples.len() < EXAMPLES
        {
            examples.push(shown_key(table, key));
        }
        if order.is_le() {
            of_live = live.next().await?;
        }
        if order.is_ge() {
            of_new = new.next().await?;
        }
    }
    let (live_hash, new_hash) = (live.hash(), new.hash());
    Ok(TableComparison { table: table.name, equal, different, only_live, only_new, live_hash, new_hash, examples })
}

/// The rows of a table of one generation, in the order of their keys.
struct Rows<'a> {
    paging: Paging<'a>,
    reading: &'a mut dyn Reading,
    page: std::vec::IntoIter<(RowKey, Vec<Cell>)>,
    hash: Xxh3Default,
}

impl<'a> Rows<'a> {
    fn of(table: &'a Table, reading: &'a mut dyn Reading) -> Self {
        Self { paging: Paging::new(table), reading, page: Vec::new().into_iter(), hash: Xxh3Default::new() }
    }

    async fn next(&mut self) -> Result<Option<(RowKey, Vec<Cell>)>, ViewError> {
        loop {
            if let Some((key, row)) = self.page.next() {
                self.hash.update(&row_hash(&row).to_le_bytes());
                return Ok(Some((key, row)));
            }
            let Some((sql, parameters)) = self.paging.next() else { return Ok(None) };
            let page = self.reading.select(&sql, &parameters, Paging::ROWS).await?;
            self.page = self.paging.take(page)?.into_iter();
        }
    }

    fn hash(&self) -> String {
        format!("{:032x}", self.hash.digest128())
    }
}

/// Each cell with its kind and length before it, so that no two rows are written alike.
fn row_hash(row: &[Cell]) -> u128 {
    let mut hash = Xxh3Default::new();
    for cell in row {
        match cell {
            Cell::Null => hash.update(b"n"),
            Cell::Text(text) => {
                hash.update(b"t");
                hash.update(&(text.len() as u64).to_le_bytes());
                hash.update(text.as_bytes());
            }
            Cell::Integer(number) => {
                hash.update(b"i");
                hash.update(&number.to_le_bytes());
            }
            Cell::Real(number) => {
                hash.update(b"r");
                hash.update(&number.to_bits().to_le_bytes());
            }
            Cell::Boolean(yes) => hash.update(if *yes { b"y" } else { b"f" }),
        }
    }
    hash.digest128()
}
