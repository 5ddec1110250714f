//! What was once released stays readable: the bytes of every release are in `tests/data/released`.

use headwater::testing::Golden;

use crate::amount::Amount;
use crate::wallet::{Credit, Debit, Moved, Wallet, WalletCommand, WalletEvent};

fn golden() -> Golden {
    Golden::new("wallet", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/released"))
}

#[test]
fn commands_to_a_wallet_stay_readable() {
    let amount = Amount::try_from(1234).expect("an amount");
    let commands: [WalletCommand; 2] = [Credit { amount }.into(), Debit { amount }.into()];
    golden().commands::<Wallet>(&commands);
}

#[test]
fn events_of_a_wallet_stay_readable() {
    let moved = |by, balance| WalletEvent::from(Moved { by, balance });
    golden().events::<Wallet>(&[moved(1234, 1234), moved(-1234, 0)]);
}
