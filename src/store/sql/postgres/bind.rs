//! Binds rows as arrays, one for each column: a statement of any size has as many parameters as columns.

use std::fmt::Write;

use sqlx::postgres::{PgArguments, PgBindIterExt};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Postgres};

use super::super::ddl::quoted;
use super::super::rowset::{Data, DataColumn, Rowset};
use crate::projection::Value;
use crate::query::split_at_placeholders;

type Statement<'q> = Query<'q, Postgres, PgArguments>;

const fn array(data: &Data<'_>) -> &'static str {
    match data {
        Data::Text(_) | Data::Json(_) => "text[]",
        Data::Integer(_) => "bigint[]",
        Data::Boolean(_) => "boolean[]",
    }
}

/// `UNNEST(…) AS u(…)` for these columns.
pub fn unnest(rows: &Rowset<'_>) -> String {
    let numbered = (1..).zip(&rows.columns);
    let arrays: Vec<String> = numbered.map(|(place, column)| format!("${place}::{}", array(&column.data))).collect();
    let names: Vec<String> = rows.columns.iter().map(|column| quoted(&column.name)).collect();
    format!("UNNEST({}) AS u({})", arrays.join(", "), names.join(", "))
}

/// The columns of `u`, as they are inserted.
pub fn selected(rows: &Rowset<'_>) -> String {
    let select = |column: &DataColumn<'_>| {
        let cast = if let Data::Json(_) = column.data { "::jsonb" } else { "" };
        format!("u.{}{cast}", quoted(&column.name))
    };
    rows.columns.iter().map(select).collect::<Vec<_>>().join(", ")
}

/// Binds rows `from..to`.
pub fn bind<'q>(mut statement: Statement<'q>, rows: &Rowset<'_>, from: usize, to: usize) -> Statement<'q> {
    for column in &rows.columns {
        statement = match &column.data {
            Data::Text(values) => statement.bind(values[from..to].iter().map(|it| it.as_deref()).bind_iter()),
            Data::Json(values) => statement.bind(values[from..to].iter().map(|it| it.as_deref()).bind_iter()),
            Data::Integer(values) => statement.bind(values[from..to].iter().copied().bind_iter()),
            Data::Boolean(values) => statement.bind(values[from..to].iter().copied().bind_iter()),
        };
    }
    statement
}

/// `?` as `$1`, `$2`, …; but a null stands there itself, since a parameter needs a type, and a null of
/// type text does not compare with a number.
pub fn numbered(sql: &str, parameters: &[Value]) -> String {
    let stretches = split_at_placeholders(sql);
    let mut numbered = String::with_capacity(sql.len() + 8);
    let (mut next, mut parameters) = (1, parameters.iter());
    for (place, stretch) in stretches.iter().enumerate() {
        if place > 0 {
            if parameters.next() == Some(&Value::Null) {
                numbered.push_str("NULL");
            } else {
                let _ = write!(numbered, "${next}");
                next += 1;
            }
        }
        numbered.push_str(stretch);
    }
    numbered
}

/// A statement that was [`numbered`], with its parameters; a null is none.
pub fn statement<'q>(sql: String, parameters: &[Value]) -> Statement<'q> {
    parameters.iter().fold(sqlx::query(AssertSqlSafe(sql)), |statement, value| match value {
        Value::Null => statement,
        Value::Text(text) => statement.bind(text.clone()),
        Value::Integer(number) => statement.bind(*number),
        Value::Boolean(yes) => statement.bind(*yes),
        Value::Timestamp(time) => statement.bind(time.0),
        Value::Json(json) => statement.bind(json.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_numbered_and_a_null_is_written_out() {
        let parameters = [Value::Integer(1), Value::Null, Value::Integer(2)];
        assert_eq!(numbered("a = ? OR ? IS NULL OR b = ?", &parameters), "a = $1 OR NULL IS NULL OR b = $2");
    }
}
