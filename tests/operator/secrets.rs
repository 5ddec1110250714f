//! What is secret in its schema: shown to who asks for it, and to nobody else.

use crate::card::UNLUCKY;
use crate::world::{Ended, World};

const PIN: &str = "sesame";

fn issue(world: &World, id: &str, pin: &str) -> Ended {
    let data = format!(r#"{{"holder": "Ann", "pin": "{pin}"}}"#);
    world.run(&["send", "card", id, "Issue", &data, "--timeout", "2s"])
}

pub fn shown_to_who_asks() {
    let world = World::new(Vec::new());
    let issued = issue(&world, "1", PIN);
    assert_eq!(issued.code, Some(0), "{}", issued.err);
    assert!(!format!("{}{}", issued.out, issued.err).contains(PIN), "{}{}", issued.out, issued.err);
    assert_eq!(issue(&world, "2", UNLUCKY).code, Some(75));

    for (arguments, secret) in [
        (&["inspect", "card", "1", "--history"][..], PIN),
        (&["inspect", "card", "1", "--history", "--json"], PIN),
        (&["tail", "card", "--from", "earliest", "--exit-at-end"], PIN),
        (&["tail", "card", "--from", "earliest", "--exit-at-end", "--json"], PIN),
    ] {
        let hidden = world.done(arguments).out;
        assert!(
            hidden.contains("Ann") && hidden.contains("***") && !hidden.contains(secret),
            "{arguments:?}: {hidden}"
        );
        let shown = world.done(&[arguments, &["--reveal"]].concat()).out;
        assert!(shown.contains("Ann") && shown.contains(secret) && !shown.contains("***"), "{arguments:?}: {shown}");
    }
    for arguments in
        [&["parked", "show", "card", "2"][..], &["parked", "show", "card", "2", "--json"], &["parked", "ls"]]
    {
        let hidden = world.done(arguments).out;
        assert!(!hidden.contains(UNLUCKY), "{arguments:?}: {hidden}");
    }
}
