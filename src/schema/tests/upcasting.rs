//! Shapes that no release writes any more, and that Avro's resolution cannot turn into a present one: they
//! become one as they are read.

use std::num::ParseIntError;

use super::*;
use crate::event::EventHead;
use crate::position::Sequence;
use crate::schema::json::{self, Secrets};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Poured {
    amount: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PutIn {
    amount: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TakenOut {
    amount: i64,
}

mod earlier {
    use super::{Poured, TakenOut};

    crate::messages! {
        /// What the earlier release wrote.
        pub enum JarEvent in "tests/data/upcasting" { Poured, TakenOut }
    }
}

mod forgetful {
    use super::{PutIn, TakenOut};

    crate::messages! {
        /// A release that does not know the earlier shape any more.
        pub enum JarEvent in "tests/data/upcasting" { PutIn, TakenOut }
    }
}

crate::messages! {
    /// What is written since.
    pub enum JarEvent in "tests/data/upcasting" { retired Poured, PutIn, TakenOut }
}

impl TryFrom<Poured> for JarEvent {
    type Error = ParseIntError;

    fn try_from(Poured { amount }: Poured) -> Result<Self, ParseIntError> {
        Ok(Self::PutIn(PutIn { amount: amount.replace('.', "").parse()? }))
    }
}

type Events<E> = Codec<EventHead, E, Never>;

fn events<E: Message>(registry: &Arc<InMemoryRegistry>) -> Events<E> {
    let codec = codec(registry);
    codec.register().expect("registered");
    codec
}

fn codec<E: Message>(registry: &Arc<InMemoryRegistry>) -> Events<E> {
    Codec::new(registry.clone(), "bank.jar.events", "bank.jar").expect("sound")
}

fn event_head() -> EventHead {
    EventHead {
        id: Uuid::from_u128(1),
        version: Version(1),
        sequence: Sequence(1),
        occurred_at: Timestamp(7),
        causation_id: Uuid::from_u128(2),
        correlation_id: Uuid::from_u128(3),
    }
}

#[test]
fn what_an_earlier_release_wrote_is_read_in_the_present_shape() {
    let registry = Arc::default();
    let (old, new) = (events::<earlier::JarEvent>(&registry), events::<JarEvent>(&registry));
    let poured = earlier::JarEvent::Poured(Poured { amount: "10.50".to_owned() });
    let value = old.encode(&event_head(), Data::User(&poured)).expect("encodes");
    let read = new.decode(&value).expect("decodes");
    assert_eq!(read.data, Data::User(JarEvent::PutIn(PutIn { amount: 1050 })));
    let nonsense = earlier::JarEvent::Poured(Poured { amount: "much".to_owned() });
    let value = old.encode(&event_head(), Data::User(&nonsense)).expect("encodes");
    let error = new.decode(&value).expect_err("no number");
    assert!(matches!(&error, DecodeError::Undecodable(reason) if reason.contains("digit")), "{error}");
    let taken = earlier::JarEvent::TakenOut(TakenOut { amount: 3 });
    let value = old.encode(&event_head(), Data::User(&taken)).expect("encodes");
    assert_eq!(new.decode(&value).expect("decodes").data, Data::User(JarEvent::TakenOut(TakenOut { amount: 3 })));
}

#[test]
fn what_is_written_since_is_read_again_and_shown_by_its_name() {
    let codec = events::<JarEvent>(&Arc::default());
    for (event, name) in
        [(JarEvent::PutIn(PutIn { amount: 5 }), "PutIn"), (JarEvent::TakenOut(TakenOut { amount: 6 }), "TakenOut")]
    {
        let value = codec.encode(&event_head(), Data::User(&event)).expect("encodes");
        let read = codec.decode(&value).expect("decodes");
        assert_eq!((read.data, read.name), (Data::User(event.clone()), name));
        assert_eq!(json::to_json(&event, Secrets::Shown).expect("JSON").name, name);
    }
}

#[test]
fn a_release_may_follow_only_if_it_keeps_the_shapes_that_were_written() {
    let registry = Arc::default();
    events::<earlier::JarEvent>(&registry);
    events::<JarEvent>(&registry);
    let forgetful: Events<forgetful::JarEvent> = codec(&registry);
    let error = forgetful.register().expect_err("it cannot read what was poured").to_string();
    assert!(error.contains("Poured is no longer one of its types"), "{error}");
}
