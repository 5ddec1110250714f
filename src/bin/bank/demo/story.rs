//! The story that the demo tells: in some houses, money that is sent and money that is asked for come to every
//! end that there is.

use std::time::Duration;

use futures::future::try_join_all;
use headwater::clock;
use headwater::command::Outcome;
use headwater::engine::{Calls, CommandInput, Stage, StoryError};
use serde_json::{Value, json};

use crate::registry::RegistryId;
use crate::values::AccountId;

/// In how many houses it happens at once.
const HOUSES: usize = 8;
/// How long a step may take on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A little longer than a request waits.
const PAST_THE_DEADLINE: Duration = Duration::from_mins(31);

/// What is asked for of the one who pays, with what becomes of it.
const REQUESTS: [(&str, &str, Answer); 4] = [
    ("paid", "20.00", Answer::Accepted),
    ("not covered", "1000000.00", Answer::Accepted),
    ("rejected", "30.00", Answer::Rejected),
    ("forgotten", "40.00", Answer::None),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Accepted,
    Rejected,
    None,
}

/// Tells it in every house at once; then half an hour passes.
pub async fn tell(stage: &Stage) -> Result<(), StoryError> {
    let houses = (0..HOUSES).map(|_| async {
        let house = House::open(&stage.calls).await?;
        house.send().await?;
        house.ask().await?;
        house.answer().await
    });
    try_join_all(houses).await?;
    stage.pass(PAST_THE_DEADLINE);
    Ok(())
}

/// One who has money, one who has none, and one who leaves.
struct House<'a> {
    calls: &'a Calls,
    payer: String,
    receiver: String,
    leaver: String,
}

impl<'a> House<'a> {
    async fn open(calls: &'a Calls) -> Result<Self, StoryError> {
        let account = async |name: &str, deposit: Option<&str>| {
            let data = json!({ "name": name, "initial_deposit": deposit });
            let reply = send(calls, "account_registry", &RegistryId.to_string(), "CreateAccount", data).await?;
            reply.as_str().map(str::to_owned).ok_or_else(|| StoryError::new(format!("{reply} is no account's number")))
        };
        let (payer, receiver) = (account("Paula Payer", Some("1000.00")).await?, account("Rita Receiver", None).await?);
        Ok(Self { calls, payer, receiver, leaver: account("Lena Leaver", None).await? })
    }

    /// To somebody, and to nobody.
    async fn send(&self) -> Result<(), StoryError> {
        let to_nobody = AccountId::LAST.to_string();
        for (transaction, to) in [("rent", &self.receiver), ("to nobody", &to_nobody)] {
            let data = json!({ "transaction_id": transaction, "funded_account": to, "amount": "10.00" });
            self.tell(&self.payer, "Transfer", data).await?;
        }
        Ok(())
    }

    /// For what is answered, for what nobody can answer, and by one who then leaves.
    async fn ask(&self) -> Result<(), StoryError> {
        let nobody = AccountId::LAST.to_string();
        let of_payer =
            REQUESTS.iter().map(|(transaction, amount, _)| (&self.receiver, &self.payer, *transaction, *amount));
        let others = [(&self.receiver, &nobody, "of nobody", "1.00"), (&self.leaver, &self.payer, "left", "50.00")];
        for (by, of, transaction, amount) in of_payer.chain(others) {
            let data = json!({ "transaction_id": transaction, "funding_account": of, "amount": amount });
            self.tell(by, "Request", data).await?;
        }
        self.tell(&self.leaver, "DeleteAccount", json!({})).await.map(drop)
    }

    /// Once the view shows what is asked for.
    async fn answer(&self) -> Result<(), StoryError> {
        self.wait_for("AccountSummary", "requests", REQUESTS.len() + 1).await?;
        let of_receiver = REQUESTS.iter().map(|(transaction, _, answer)| (&self.receiver, *transaction, *answer));
        for (by, transaction, answer) in of_receiver.chain([(&self.leaver, "left", Answer::Accepted)]) {
            let command = match answer {
                Answer::Accepted => "AcceptRequest",
                Answer::Rejected => "RejectRequest",
                Answer::None => continue,
            };
            let data = json!({ "transaction_id": transaction, "funded_account": by });
            self.tell(&self.payer, command, data).await?;
        }
        // What was accepted is carried out before half an hour passes: a deposit, two debits of transfers and
        // two of requests, and one of each given back.
        self.wait_for("AccountLedger", "entries", 7).await
    }

    async fn wait_for(&self, query: &str, list: &str, wanted: usize) -> Result<(), StoryError> {
        let deadline = clock::instant() + PATIENCE;
        loop {
            let fields = json!({ "account_id": self.payer });
            let answer = self.calls.ask_by_name(query, fields, &[], PATIENCE).await.map_err(StoryError::new)?.answer;
            let found = answer.unwrap_or_default()[list].as_array().map_or(0, Vec::len);
            if found == wanted {
                return Ok(());
            }
            if clock::instant() > deadline {
                let payer = &self.payer;
                let wrong = format!("{query} of account {payer} is to show {wanted} {list}; it shows {found}");
                return Err(StoryError::new(wrong));
            }
            clock::sleep(LOOK_EVERY).await;
        }
    }

    async fn tell(&self, account: &str, command: &str, data: Value) -> Result<Value, StoryError> {
        send(self.calls, "account", account, command, data).await
    }
}

/// A command that must be accepted: the data of its reply.
async fn send(calls: &Calls, aggregate: &str, id: &str, command: &str, data: Value) -> Result<Value, StoryError> {
    let input = CommandInput {
        aggregate: aggregate.to_owned(),
        id: id.to_owned(),
        command: command.to_owned(),
        data,
        command_id: None,
        issued_at: None,
        expect: None,
        internal: false,
    };
    match calls.send(input, PATIENCE).await.map_err(StoryError::new)?.outcome {
        Outcome::Accepted(accepted) => {
            Ok(accepted.data.and_then(|data| serde_json::from_str(&data).ok()).unwrap_or_default())
        }
        other => Err(StoryError::new(format!("{command} to {aggregate} {id}: {other:?}"))),
    }
}
