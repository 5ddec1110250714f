//! A broker that is away for a while, under load.

use std::time::Duration;

use headwater::clock;
use rustix::process::Signal;

use super::bank::{Bank, Worker};
use super::customers::Customers;
use super::own_servers::OwnServers;

const CUSTOMERS: usize = 64;
/// What a worker may take beyond what it took under the same load before the outage.
const ROOM_MIB: u64 = 64;

/// The broker is away for so long while customers pay. How long it takes after its return until a payment is
/// accepted.
async fn outage(servers: &OwnServers, away: Duration) -> Duration {
    let bank = Bank::with(servers.settings());
    let worker: Worker = bank.start("worker", &[]).await;
    let mut accounts = Vec::new();
    for _ in 0..8 {
        accounts.push(worker.open_account().await);
    }
    let customers = Customers::begin(&worker.url, &accounts, CUSTOMERS, false);
    customers.have(300, 200).await;
    let before = worker.memory_mib();
    servers.end("kafka", Signal::TERM).await;
    let gone_at = clock::instant();
    // Everybody is told so, soon, and again and again.
    customers.have(10 * CUSTOMERS, 503).await;
    let mut most = before;
    while gone_at.elapsed() < away {
        most = most.max(worker.memory_mib());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let gone_for = gone_at.elapsed();
    servers.up();
    let back_at = clock::instant();
    customers.have(1, 200).await;
    let recovered = back_at.elapsed();
    customers.have(300, 200).await;
    most = most.max(worker.memory_mib());
    let answers = customers.answers();
    let payments = customers.finish().await;
    println!(
        "away for {gone_for:.1?}, accepted again {recovered:.1?} after its return; memory {before} MiB before, \
         {most} MiB at most; answers {answers:?}"
    );
    assert!(most <= before + ROOM_MIB, "from {before} MiB to {most} MiB");
    payments.are_kept(&bank, &worker.url).await;
    bank.succeed(&["verify"]);
    recovered
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts servers of its own; on a machine that is very busy partitions were seen to wait for minutes"]
async fn while_the_broker_is_away_everybody_is_told_and_nothing_acknowledged_is_lost() {
    let Some(servers) = OwnServers::if_there_are_servers() else { return };
    outage(&servers, Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes two minutes, and asks how long something takes"]
async fn a_minute_without_the_broker_is_over_fifteen_seconds_after_its_return() {
    let Some(servers) = OwnServers::if_there_are_servers() else { return };
    let recovered = outage(&servers, Duration::from_mins(1)).await;
    assert!(recovered <= Duration::from_secs(15), "{recovered:?}");
}
