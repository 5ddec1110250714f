//! A small domain for these tests: tills, their takings, and what may be asked of them.

use std::str::FromStr;

use headwater::projection::{Changes, ColumnType, Events, Projection, Table, Tables};
use headwater::query::{Query, QueryError, Rows};
use headwater::schema::{Message, MessageSchema};
use headwater::{Aggregate, App, Context, Decision, EventContext, Recorded, Refusal};
use serde::{Deserialize, Serialize};

/// An application of this domain.
pub fn shop() -> App {
    App::new("shop").aggregate::<Till>().projection(Takings).query::<TillSummary>().query::<AllTills>()
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Till {
    pub balance: i64,
}

/// `till-` and digits.
#[derive(Clone, Debug, PartialEq)]
pub struct TillId(pub String);

impl FromStr for TillId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("till-").filter(|it| (1..=6).contains(&it.len()));
        match digits {
            Some(digits) if digits.bytes().all(|it| it.is_ascii_digit()) => Ok(Self(text.to_owned())),
            _ => Err("must be till- and one to six digits"),
        }
    }
}

impl std::fmt::Display for TillId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! message {
    ($(#[$meta:meta])* $name:ident { $($field:ident: $type:ty),* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub struct $name { $(pub $field: $type),* }
    };
}

message!(Deposit { amount: i64, note: Option<String> });
message!(Withdraw { amount: i64 });
message!(
    /// Only the engine may send it.
    Seize { amount: i64 }
);
message!(Moved { amount: i64, balance: i64 });

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    Deposit(Deposit),
    Withdraw(Withdraw),
    Seize(Seize),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    Moved(Moved),
}

impl From<Deposit> for Command {
    fn from(command: Deposit) -> Self {
        Self::Deposit(command)
    }
}

impl Message for Till {
    const SCHEMAS: &'static [MessageSchema] = &[MessageSchema::new(
        "Till",
        r#"{"type": "record", "name": "Till", "fields": [{"name": "balance", "type": "long"}]}"#,
    )];
}

impl Message for Command {
    const SCHEMAS: &'static [MessageSchema] = &[
        MessageSchema::new(
            "Deposit",
            r#"{"type": "record", "name": "Deposit", "fields": [
                {"name": "amount", "type": "long", "minimum": 1, "maximum": 1000000},
                {"name": "note", "type": ["null", "string"], "default": null}
            ]}"#,
        ),
        MessageSchema::new(
            "Withdraw",
            r#"{"type": "record", "name": "Withdraw", "fields": [{"name": "amount", "type": "long", "minimum": 1}]}"#,
        ),
        MessageSchema::new(
            "Seize",
            r#"{"type": "record", "name": "Seize", "fields": [{"name": "amount", "type": "long"}]}"#,
        )
        .internal(),
    ];
}

impl Message for Event {
    const SCHEMAS: &'static [MessageSchema] = &[MessageSchema::new(
        "Moved",
        r#"{"type": "record", "name": "Moved", "fields": [
            {"name": "amount", "type": "long"}, {"name": "balance", "type": "long"}
        ]}"#,
    )];
}

#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("there is only {balance} in the till")]
    NotEnough { balance: i64 },
}

impl Refusal for Refused {
    const CODES: &'static [&'static str] = &["not_enough"];

    fn code(&self) -> &'static str {
        match self {
            Self::NotEnough { .. } => "not_enough",
        }
    }

    fn data(&self) -> Option<serde_json::Value> {
        let Self::NotEnough { balance } = self;
        Some(serde_json::json!({ "balance": balance }))
    }
}

impl Aggregate for Till {
    const NAME: &'static str = "till";
    type Id = TillId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refused;

    fn decide(&self, command: Command, _: &Context<'_>) -> Result<Decision<Event>, Refused> {
        let amount = match command {
            Command::Deposit(Deposit { amount, .. }) => amount,
            Command::Withdraw(Withdraw { amount }) | Command::Seize(Seize { amount }) => -amount,
        };
        let balance = self.balance + amount;
        if balance < 0 {
            return Err(Refused::NotEnough { balance: self.balance });
        }
        Ok(Decision::event(Event::Moved(Moved { amount, balance })).reply(&balance))
    }

    fn evolve(&mut self, event: &Event, _: &EventContext<'_>) {
        let Event::Moved(moved) = event;
        self.balance = moved.balance;
    }
}

pub struct Takings;

impl Projection for Takings {
    const NAME: &'static str = "takings";
    type Source = Till;

    fn tables() -> Tables {
        let tills = Table::rows("tills")
            .key("till_id", ColumnType::Text)
            .versioned("balance", ColumnType::Integer)
            .complete_to();
        Tables::new().with(tills)
    }

    fn project(&self, event: &Recorded<Events<Self>>, rows: &mut Changes) {
        let Event::Moved(moved) = &event.data;
        let row = rows.at("tills", ("till_id", &event.aggregate_id)).seen(event.version);
        row.set_versioned("balance", moved.balance, event.version);
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct TillRow {
    pub till_id: String,
    pub balance: i64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TillSummary {
    pub till_id: String,
}

impl Query for TillSummary {
    const NAME: &'static str = "TillSummary";
    type Answer = TillRow;
    type Reads = Takings;

    async fn ask(self, rows: &mut Rows<'_>) -> Result<Option<TillRow>, QueryError> {
        rows.one("SELECT till_id, balance FROM tills WHERE till_id = ?", (self.till_id,)).await
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllTills {
    #[serde(default)]
    pub at_least: i64,
    pub limit: Option<u32>,
}

impl Query for AllTills {
    const NAME: &'static str = "AllTills";
    type Answer = Vec<TillRow>;
    type Reads = Takings;

    async fn ask(self, rows: &mut Rows<'_>) -> Result<Option<Vec<TillRow>>, QueryError> {
        let limit = i64::from(self.limit.unwrap_or(100));
        let sql = "SELECT till_id, balance FROM tills WHERE balance >= ? ORDER BY till_id LIMIT ?";
        rows.all(sql, (self.at_least, limit)).await.map(Some)
    }
}
