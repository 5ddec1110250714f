//! Records that are saved under a key, for ever: the newest, the newest few, or what was there at a time.
//!
//! An application part that is ready made, and stands on what the engine offers to everybody; nothing of
//! the engine knows it. An [`Entity`] says what its records look like. Each is an aggregate of its own,
//! [`Series`], whose events carry the records; [`RecordsView`] is the view of them, and [`ReadRecords`] the
//! one question from which all answers come. A [`Journal`] is how a program calls all this.
//!
//! ```no_run
//! use headwater::journal::{Entity, Field, FieldType, Journal, JournalError, ReadRecords, RecordsView, Series};
//! use headwater::settings::Settings;
//! use headwater::{App, Connected};
//! use serde_json::json;
//!
//! #[derive(Clone, Debug, Default, PartialEq)]
//! struct Reading;
//!
//! impl Entity for Reading {
//!     const NAME: &'static str = "reading";
//!     const FIELDS: &'static [Field] =
//!         &[Field::required("celsius", FieldType::Number), Field::optional("note", FieldType::Text)];
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let app = App::new("weather").aggregate::<Series<Reading>>().projection(RecordsView::<Reading>::default());
//! let app = app.query::<ReadRecords<Reading>>().connect(Settings::default()).await?;
//! let readings = Journal::<Reading>::new(app.calls().clone());
//!
//! readings.save("north", &json!({ "celsius": -3.5 })).await?;
//! readings.save_many("north", &[json!({ "celsius": -3.0 }), json!({ "celsius": -2.5 })]).await?;
//! assert_eq!(readings.count("north").await?, 3);
//! let newest = readings.last("north").await?.expect("three are there");
//! assert_eq!(newest.record.get(), r#"{"celsius":-2.5}"#);
//!
//! let refused = readings.save("north", &json!({ "celsius": "cold" })).await.expect_err("no number");
//! assert_eq!(refused.to_string(), "record 1: celsius: must be a number");
//! # Ok(())
//! # }
//! ```

mod entity;
#[cfg(test)]
mod fixtures;
mod frame;
mod handle;
mod query;
mod record;
mod series;
mod view;

pub use entity::{Entity, Field, FieldType, RecordError};
#[cfg(feature = "arrow")]
pub use frame::{ArrowFile, Parquet};
pub use frame::{Csv, FormatError, FrameFormat, FrameWriter, JsonLines};
pub use handle::{Journal, JournalError, Receipt};
pub use query::{Entry, Limit, Page, ReadRecords};
pub use record::{Key, KeyError, Record};
pub use series::{Delete, Deleted, Records, RecordsError, Save, Saved, Series, SeriesCommand, SeriesEvent};
pub use view::RecordsView;
