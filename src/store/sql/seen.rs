//! Keeps `complete_to` where events came with gaps.
//!
//! A statement joins a row's new range to its old one where they touch, which is the rule: an
//! aggregate's events come in order. Where they do not touch, `seen__max` stays above `complete_to`, the
//! row is given back, and the ranges are joined here. `ahead__v` holds those beyond the first gap.

use hashbrown::HashMap;

use crate::position::Version;
use crate::projection::{RowDelta, RowKey, Versions};

/// A row with a gap, as it is after the statement.
#[derive(Debug)]
pub struct Ragged {
    pub key: RowKey,
    pub complete_to: i64,
    pub ahead: String,
}

/// What a row with a gap becomes.
#[derive(Debug)]
pub struct Mended<'a> {
    pub key: &'a RowKey,
    pub complete_to: i64,
    pub ahead: String,
}

/// Joins what a row had with what the batch brings. `Err` is a row whose stored text is no ranges.
pub fn mend<'a>(ragged: &'a [Ragged], deltas: &HashMap<RowKey, RowDelta>) -> Result<Vec<Mended<'a>>, String> {
    let mut mended = Vec::with_capacity(ragged.len());
    for row in ragged {
        let stored = Versions::parse(Version(row.complete_to), &row.ahead);
        let mut seen =
            stored.ok_or_else(|| format!("ahead__v of {:?} is {:?}, which is no ranges", row.key, row.ahead))?;
        if let Some(delta) = deltas.get(&row.key) {
            seen.extend(&delta.seen);
        }
        mended.push(Mended { key: &row.key, complete_to: seen.complete_to().0, ahead: seen.ahead() });
    }
    Ok(mended)
}
