//! Sagas on a real cluster: `HEADWATER_TEST_KAFKA=host:port`.

use std::sync::Arc;

use headwater::clock;
use headwater::log::kafka::{KafkaLog, KafkaSettings};
use headwater::testing::faults::{Call, Fault, Faults, Strike};

use crate::crash_schedules::{LOADED, check, load};
use crate::world::World;

#[test]
fn killed_on_a_real_cluster_all_sagas_end_as_they_must() {
    let Ok(bootstrap_servers) = std::env::var("HEADWATER_TEST_KAFKA") else {
        let is_required = std::env::var_os("HEADWATER_TEST_REQUIRE").is_some();
        assert!(!is_required, "HEADWATER_TEST_REQUIRE is set, but HEADWATER_TEST_KAFKA is not");
        eprintln!("skipped: HEADWATER_TEST_KAFKA is not set");
        return;
    };
    let log = KafkaLog::connect(KafkaSettings { bootstrap_servers, ..KafkaSettings::default() }).expect("a cluster");
    let world = World::on(Arc::new(log), &format!("test_{}", clock::new_id().simple()));
    load(&world);
    for (call, number, fault) in [
        (Call::Commit, 2, Fault::CrashAfter),
        (Call::Commit, 3, Fault::LoseAnswer),
        (Call::SendOffsets, 1, Fault::CrashBefore),
    ] {
        world.run(&Faults::new(vec![Strike { call, number, fault }]), LOADED);
    }
    world.run(&Faults::default(), LOADED);
    check(&world).expect("as they must");
}
