//! SQL over the views, read into Rust types.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use super::cell::{self, RowError};
use super::error::QueryError;
use super::placeholders;
use crate::projection::{Reading, Value, ViewError};

/// The tables of a query's views, at one moment.
///
/// A row is read into any type that derives `Deserialize`, each column into the field of its name;
/// further columns are passed over. Text that is JSON is read into structs, lists and maps; into
/// anything else with [`Json`].
pub struct Rows<'a> {
    reading: &'a mut dyn Reading,
}

impl std::fmt::Debug for Rows<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rows")
    }
}

impl<'a> Rows<'a> {
    /// The most rows that one statement may give.
    pub const LIMIT: usize = 100_000;

    /// The tables of a reading, whatever state its views are in.
    #[must_use]
    pub fn new(reading: &'a mut dyn Reading) -> Self {
        Self { reading }
    }

    /// All rows of a `SELECT`, at most [`LIMIT`](Self::LIMIT).
    pub async fn all<T: DeserializeOwned>(
        &mut self,
        sql: &str,
        parameters: impl Into<Parameters>,
    ) -> Result<Vec<T>, QueryError> {
        self.select(sql, parameters.into(), Self::LIMIT).await
    }

    /// The first row of a `SELECT`, if there is one. A statement that gives more than one is refused:
    /// which of them comes first is not for the database to say.
    pub async fn one<T: DeserializeOwned>(
        &mut self,
        sql: &str,
        parameters: impl Into<Parameters>,
    ) -> Result<Option<T>, QueryError> {
        Ok(self.select(sql, parameters.into(), 1).await?.pop())
    }

    /// The only column of the only row of a `SELECT`, for counts and sums; null is read as `Option`.
    pub async fn value<T: DeserializeOwned>(
        &mut self,
        sql: &str,
        parameters: impl Into<Parameters>,
    ) -> Result<T, QueryError> {
        let selected = self.fetch(sql, parameters.into(), 1).await?;
        let cell = match <[_; 1]>::try_from(selected.rows) {
            Ok([row]) => <[_; 1]>::try_from(row).map_err(|row| format!("there are {} columns, not one", row.len())),
            Err(rows) => Err(format!("there are {} rows, not one", rows.len())),
        };
        let [cell] = cell.map_err(QueryError::Row)?;
        cell::read(cell).map_err(|error| QueryError::Row(error.to_string()))
    }

    async fn select<T: DeserializeOwned>(
        &mut self,
        sql: &str,
        parameters: Parameters,
        limit: usize,
    ) -> Result<Vec<T>, QueryError> {
        let selected = self.fetch(sql, parameters, limit).await?;
        let columns = selected.columns;
        let rows = selected.rows.into_iter().map(|row| cell::read_row(&columns, row));
        rows.collect::<Result<_, RowError>>().map_err(|error| QueryError::Row(error.to_string()))
    }

    async fn fetch(
        &mut self,
        sql: &str,
        parameters: Parameters,
        limit: usize,
    ) -> Result<crate::projection::Selected, QueryError> {
        let (wanted, given) = (placeholders::split(sql).len() - 1, parameters.0.len());
        if wanted != given {
            let reason = format!("a statement has {wanted} parameters (a ? each), and {given} were given\nin: {sql}");
            return Err(ViewError::Failed(reason).into());
        }
        let selected = self.reading.select(sql, &parameters.0, limit).await;
        let selected = selected.map_err(|error| match error {
            ViewError::Failed(reason) => ViewError::Failed(format!("{reason}\nin: {sql}")),
            other => other,
        })?;
        if selected.rows.len() > limit { Err(QueryError::TooMany { limit }) } else { Ok(selected) }
    }
}

/// The values for the `?` of a statement: `()`, a tuple of up to six, or a list of [`Value`]s.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters(Vec<Value>);

impl From<()> for Parameters {
    fn from((): ()) -> Self {
        Self(Vec::new())
    }
}

impl From<Vec<Value>> for Parameters {
    fn from(values: Vec<Value>) -> Self {
        Self(values)
    }
}

macro_rules! parameters_from {
    ($(($($value:ident),+))*) => {$(
        impl<$($value: Into<Value>),+> From<($($value,)+)> for Parameters {
            #[expect(non_snake_case, reason = "a parameter is named as its type")]
            fn from(($($value,)+): ($($value,)+)) -> Self {
                Self(vec![$($value.into()),+])
            }
        }
    )*};
}

parameters_from! { (A) (A, B) (A, B, C) (A, B, C, D) (A, B, C, D, E) (A, B, C, D, E, F) }

/// A column of JSON, read into any type, for example `Json<serde_json::Value>`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Json<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text<T>(PhantomData<T>);
        impl<T: DeserializeOwned> serde::de::Visitor<'_> for Text<T> {
            type Value = Json<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text of JSON")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Json<T>, E> {
                serde_json::from_str(text).map(Json).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text(PhantomData))
    }
}
