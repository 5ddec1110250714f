//! The aggregate: all records under one key.

use std::convert::Infallible;
use std::marker::PhantomData;

use crate::aggregate::{Aggregate, Context, Decision, EventContext};
use crate::schema::{Message, MessageSchema};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::json;

use super::entity::Entity;
use super::record::{Key, Record};

/// All records of entity `E` under one key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Series<E: Entity> {
    /// How many there are since the key was last deleted.
    count: i64,
    #[serde(skip)]
    entity: PhantomData<fn() -> E>,
}

/// Saves records under the key: all of them, in this order, or none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Save<E: Entity> {
    /// The records.
    pub records: Records<E>,
}

/// Empties the key. What was there stays in the past; a later record begins anew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delete {}

/// What may be asked of a key. Its records are checked when they are read, so that one of another shape
/// is bad input wherever it comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub enum SeriesCommand<E: Entity> {
    /// See [`Save`].
    Save(Save<E>),
    /// See [`Delete`].
    Delete(Delete),
}

/// A record was saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// The record, a JSON object. What was once saved stays, also when the entity asks for other fields
    /// since.
    pub record: String,
    /// How many there are with it since the key was last deleted.
    pub count: i64,
}

/// The key was emptied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deleted {}

crate::messages! {
    /// What can happen under a key.
    pub enum SeriesEvent in "schemas/journal/series/events" { Saved, Deleted }
}

macro_rules! schema {
    ($name:literal in $folder:literal) => {
        MessageSchema::new(
            $name,
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/journal/series/", $folder, $name, ".avsc")),
        )
    };
}

impl<E: Entity> Message for Series<E> {
    const SCHEMAS: &'static [MessageSchema] = &[schema!("Series" in "")];
}

impl<E: Entity> Message for SeriesCommand<E> {
    const SCHEMAS: &'static [MessageSchema] = &[schema!("Save" in "commands/"), schema!("Delete" in "commands/")];
}

impl<E: Entity> From<Save<E>> for SeriesCommand<E> {
    fn from(command: Save<E>) -> Self {
        Self::Save(command)
    }
}

impl<E: Entity> From<Delete> for SeriesCommand<E> {
    fn from(command: Delete) -> Self {
        Self::Delete(command)
    }
}

impl<E: Entity> Aggregate for Series<E> {
    const NAME: &'static str = E::NAME;
    type Id = Key;
    type Command = SeriesCommand<E>;
    type Event = SeriesEvent;
    type Refusal = Infallible;

    fn decide(&self, command: SeriesCommand<E>, _: &Context<'_>) -> Result<Decision<SeriesEvent>, Infallible> {
        Ok(match command {
            SeriesCommand::Save(Save { records }) => {
                let mut count = self.count;
                let decision = records.0.into_iter().fold(Decision::none(), |decision, record| {
                    count += 1;
                    decision.and(Saved { record: record.into(), count })
                });
                decision.reply(&json!({ "count": count }))
            }
            SeriesCommand::Delete(Delete {}) if self.count == 0 => Decision::none(),
            SeriesCommand::Delete(Delete {}) => Decision::event(Deleted {}),
        })
    }

    fn evolve(&mut self, event: &SeriesEvent, _: &EventContext<'_>) {
        self.count = match event {
            SeriesEvent::Saved(saved) => saved.count,
            SeriesEvent::Deleted(_) => 0,
        };
    }
}

/// What is saved at once: 1 to 10,000 records.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(bound = "", try_from = "Vec<Record<E>>")]
pub struct Records<E: Entity>(Vec<Record<E>>);

/// A number of records that cannot be saved at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("1 to {most} records are saved at once, not {0}", most = RecordsError::MOST)]
pub struct RecordsError(usize);

impl RecordsError {
    const MOST: usize = 10_000;
}

impl<E: Entity> TryFrom<Vec<Record<E>>> for Records<E> {
    type Error = RecordsError;

    fn try_from(records: Vec<Record<E>>) -> Result<Self, RecordsError> {
        match records.len() {
            1..=RecordsError::MOST => Ok(Self(records)),
            count => Err(RecordsError(count)),
        }
    }
}

impl<E: Entity> From<Record<E>> for Records<E> {
    fn from(record: Record<E>) -> Self {
        Self(vec![record])
    }
}

impl<E: Entity> Serialize for Records<E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use crate::schema::check;
    use crate::testing::Given;

    use super::super::fixtures::{Reading, deleted, record, saved};
    use super::*;

    fn save(celsius: &[f64]) -> Save<Reading> {
        let records: Vec<_> = celsius.iter().map(|celsius| record(*celsius)).collect();
        Save { records: records.try_into().expect("some records") }
    }

    #[test]
    fn types_and_schemas_say_the_same() {
        check::<Series<Reading>>().expect("the state");
        check::<SeriesCommand<Reading>>().expect("the commands");
        check::<SeriesEvent>().expect("the events");
    }

    #[test]
    fn each_record_is_an_event_that_counts_it() {
        Given::<Series<Reading>>::nothing()
            .when(save(&[1.0]))
            .then_events([saved(1.0, 1)])
            .then_reply(&json!({ "count": 1 }))
            .when(save(&[2.0, 3.0]))
            .then_events([saved(2.0, 2), saved(3.0, 3)])
            .then_reply(&json!({ "count": 3 }))
            .into_given()
            .survives_the_log();
    }

    #[test]
    fn a_delete_is_an_event_and_a_later_save_starts_anew() {
        Given::<Series<Reading>>::events([saved(1.0, 1), saved(2.0, 2)])
            .when(Delete {})
            .then_events([deleted()])
            .then_state(|series| series.count == 0)
            .when(save(&[3.0]))
            .then_events([saved(3.0, 1)]);
    }

    #[test]
    fn a_delete_of_an_empty_key_is_accepted_and_nothing_happens() {
        Given::<Series<Reading>>::nothing().when(Delete {}).then_no_events();
        Given::<Series<Reading>>::events([saved(1.0, 1), deleted()]).when(Delete {}).then_no_events();
    }

    #[test]
    fn no_records_or_too_many_are_not_saved() {
        for count in [0, 10_001] {
            let records: Vec<_> = (0..count).map(|_| record(1.0)).collect();
            assert_eq!(Records::try_from(records), Err(RecordsError(count)));
        }
    }

    #[test]
    fn a_record_of_another_shape_is_no_command() {
        let save = json!({ "Save": { "records": ["{\"celsius\":1.0}", "{\"celsius\":\"warm\"}"] } });
        let error = serde_json::from_value::<SeriesCommand<Reading>>(save).expect_err("bad input").to_string();
        assert_eq!(error, "celsius: must be a number");
    }
}
