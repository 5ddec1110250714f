//! What is said to the teller: a line of words, understood as an [`Order`].

use std::collections::VecDeque;

use crate::values::{AccountId, Amount, Money, Name, TransactionId};

/// What a customer asks the teller for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    Create { name: Name, deposit: Option<Amount> },
    Select(AccountId),
    Deposit(Amount),
    Withdraw(Amount),
    Send { amount: Amount, to: AccountId, transaction: Option<TransactionId> },
    Request { amount: Amount, from: AccountId, transaction: Option<TransactionId> },
    Requests,
    Accept { from: AccountId, transaction: TransactionId },
    Reject { from: AccountId, transaction: TransactionId },
    Forgive,
    Delete,
    Balance,
    Ledger,
    Accounts,
    Stats,
    Help,
    Quit,
}

/// An order in the words of the help: its name, what follows it, and what it does.
pub struct Wording {
    pub name: &'static str,
    pub arguments: &'static str,
    pub what: &'static str,
}

const fn wording(name: &'static str, arguments: &'static str, what: &'static str) -> Wording {
    Wording { name, arguments, what }
}

/// Every order.
pub const WORDINGS: [Wording; 17] = [
    wording("create", "NAME [AMOUNT]", "opens an account, with a first deposit if there is one, and selects it"),
    wording("select", "ACCOUNT", "what follows is about this account"),
    wording("deposit", "AMOUNT", "puts money in"),
    wording("withdraw", "AMOUNT", "takes money out"),
    wording("send", "AMOUNT ACCOUNT [TRANSACTION]", "sends money to another account"),
    wording("request", "AMOUNT ACCOUNT [TRANSACTION]", "asks another account for money"),
    wording("requests", "", "what the account is asked for"),
    wording("accept", "ACCOUNT TRANSACTION", "agrees to pay what that account asked for"),
    wording("reject", "ACCOUNT TRANSACTION", "declines to"),
    wording("forgive", "", "forgives the account's debt"),
    wording("delete", "", "deletes the account"),
    wording("balance", "", "what the account holds"),
    wording("ledger", "", "what moved on the account, the newest first"),
    wording("accounts", "", "every account"),
    wording("stats", "", "the bank as a whole"),
    wording("help", "", "this"),
    wording("quit", "", "ends"),
];

impl Order {
    /// What a line asks for; nothing if it is empty. `Err` says what is wrong with it.
    pub fn parse(line: &str) -> Result<Option<Self>, String> {
        let mut words = Words(line.split_whitespace().collect());
        let Some(name) = words.next() else { return Ok(None) };
        let order = match name.to_lowercase().as_str() {
            "create" => words.name_and_deposit(),
            "select" => Ok(Self::Select(words.account()?)),
            "deposit" => Ok(Self::Deposit(words.amount()?)),
            "withdraw" => Ok(Self::Withdraw(words.amount()?)),
            "send" => Ok(Self::Send { amount: words.amount()?, to: words.account()?, transaction: words.rest()? }),
            "request" => {
                Ok(Self::Request { amount: words.amount()?, from: words.account()?, transaction: words.rest()? })
            }
            "requests" => Ok(Self::Requests),
            "accept" => Ok(Self::Accept { from: words.account()?, transaction: words.transaction()? }),
            "reject" => Ok(Self::Reject { from: words.account()?, transaction: words.transaction()? }),
            "forgive" => Ok(Self::Forgive),
            "delete" => Ok(Self::Delete),
            "balance" => Ok(Self::Balance),
            "ledger" => Ok(Self::Ledger),
            "accounts" => Ok(Self::Accounts),
            "stats" => Ok(Self::Stats),
            "help" => Ok(Self::Help),
            "quit" | "exit" => Ok(Self::Quit),
            other => Err(format!("{other:?} is nothing that I know; `help` says what is")),
        };
        let order = order?;
        match words.next() {
            None => Ok(Some(order)),
            Some(word) => Err(format!("{word:?} is one word too many")),
        }
    }
}

/// The words that are left.
struct Words<'l>(VecDeque<&'l str>);

impl<'l> Words<'l> {
    fn next(&mut self) -> Option<&'l str> {
        self.0.pop_front()
    }

    fn required(&mut self, what: &str) -> Result<&'l str, String> {
        self.next().ok_or_else(|| format!("{what} is missing"))
    }

    fn amount(&mut self) -> Result<Amount, String> {
        amount(self.required("an amount, for example 12.34,")?)
    }

    fn account(&mut self) -> Result<AccountId, String> {
        let word = self.required("an account, for example 000001,")?;
        word.parse::<AccountId>().map_err(|error| error.to_string())
    }

    /// All words that are left.
    fn rest(&mut self) -> Result<Option<TransactionId>, String> {
        let words: Vec<_> = self.0.drain(..).collect();
        if words.is_empty() {
            return Ok(None);
        }
        let text = words.join(" ");
        TransactionId::try_from(text.as_str()).map(Some).map_err(|error| error.to_string())
    }

    fn transaction(&mut self) -> Result<TransactionId, String> {
        self.rest()?.ok_or_else(|| "the transaction is missing; `requests` tells it".to_owned())
    }

    /// The last word is a deposit if it is a number.
    fn name_and_deposit(&mut self) -> Result<Order, String> {
        let is_number = |word: &&str| word.starts_with(|first: char| first.is_ascii_digit() || first == '-');
        let deposit = self.0.pop_back_if(|word| is_number(&*word)).map(amount).transpose()?;
        let words: Vec<_> = self.0.drain(..).collect();
        let name = Name::try_from(words.join(" ")).map_err(|error| error.to_string())?;
        Ok(Order::Create { name, deposit })
    }
}

/// `12` as well as `12.34`.
fn amount(text: &str) -> Result<Amount, String> {
    let whole = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let text = if whole { format!("{text}.00") } else { text.to_owned() };
    let money = text.parse::<Money>().map_err(|error| error.to_string())?;
    Amount::try_from(money).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::fixtures::{amount, id, transaction};

    fn order(line: &str) -> Order {
        Order::parse(line).expect(line).expect("an order")
    }

    #[test]
    fn every_order_of_the_help_is_understood() {
        for Wording { name, arguments, .. } in WORDINGS {
            let said = arguments.replace(['[', ']'], "");
            let said = said.replace("NAME", "Anna Berg").replace("AMOUNT", "10").replace("ACCOUNT", "000002");
            let line = format!("{name} {}", said.replace("TRANSACTION", "t1"));
            assert!(matches!(Order::parse(&line), Ok(Some(_))), "{line}: {:?}", Order::parse(&line));
        }
    }

    #[test]
    fn a_name_may_have_blanks_and_a_number_after_it_is_a_deposit() {
        let name = || Name::try_from("Anna Berg").expect("a name");
        assert_eq!(order("create Anna Berg"), Order::Create { name: name(), deposit: None });
        assert_eq!(order("create Anna  Berg 12.34"), Order::Create { name: name(), deposit: Some(amount("12.34")) });
    }

    #[test]
    fn an_amount_may_be_whole() {
        assert_eq!(order("deposit 12"), Order::Deposit(amount("12.00")));
        assert_eq!(order("DEPOSIT 12.34"), Order::Deposit(amount("12.34")));
    }

    #[test]
    fn a_transaction_may_be_named_with_blanks_or_not_at_all() {
        let (amount, to) = (amount("1.00"), id("000002"));
        assert_eq!(order("send 1 000002"), Order::Send { amount, to, transaction: None });
        let transaction = Some(transaction("rent of May"));
        assert_eq!(order("send 1 000002 rent of May"), Order::Send { amount, to, transaction });
    }

    #[test]
    fn an_empty_line_asks_for_nothing() {
        assert_eq!(Order::parse("   "), Ok(None));
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said() {
        for (line, expected) in [
            ("dance", "nothing that I know"),
            ("deposit", "an amount, for example 12.34, is missing"),
            ("deposit 0", "more than 0.00"),
            ("deposit 1.234", "two decimal places"),
            ("send 1 2", "six digits"),
            ("accept 000002", "the transaction is missing"),
            ("stats now", "one word too many"),
            ("create Bob", "5 to 15"),
            ("create Anna Berg -1", "two decimal places"),
        ] {
            let error = Order::parse(line).expect_err(line);
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
