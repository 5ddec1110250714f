//! What an aggregate made of a command, held against what is expected.

use std::fmt::Display;

use serde::Serialize;
use serde_json::Value;

use super::given::{Given, assert_id};
use crate::aggregate::{Aggregate, Decision, Refusal};
use crate::clock::Timestamp;

/// What an aggregate made of a command.
#[derive(Debug)]
pub struct Then<A: Aggregate> {
    after: Given<A>,
    /// How much of the history was there before.
    given: usize,
    command: String,
    judgement: Result<Decision<A::Event>, A::Refusal>,
}

#[expect(clippy::return_self_not_must_use, reason = "a story ends wherever enough is said")]
impl<A: Aggregate> Then<A> {
    pub(super) const fn new(
        after: Given<A>,
        given: usize,
        command: String,
        judgement: Result<Decision<A::Event>, A::Refusal>,
    ) -> Self {
        Self { after, given, command, judgement }
    }

    /// It is accepted, with exactly these events.
    ///
    /// # Panics
    /// If it is not.
    #[track_caller]
    pub fn then_events<E: Into<A::Event>>(self, events: impl IntoIterator<Item = E>) -> Self
    where
        A::Event: PartialEq,
    {
        let expected: Vec<A::Event> = events.into_iter().map(Into::into).collect();
        let decided = self.decision(&format_args!("events {expected:#?}"));
        assert!(decided.events() == expected, "{}", self.story(&format_args!("events {expected:#?}")));
        self
    }

    /// It is accepted, and nothing happens.
    ///
    /// # Panics
    /// If it is not.
    #[track_caller]
    pub fn then_no_events(self) -> Self {
        let expected = format_args!("no events");
        assert!(self.decision(&expected).events().is_empty(), "{}", self.story(&expected));
        self
    }

    /// It is refused with this code.
    ///
    /// # Panics
    /// If it is not.
    #[track_caller]
    pub fn then_refused(self, code: &str) -> Self {
        let refused = self.judgement.as_ref().is_err_and(|refusal| refusal.code() == code);
        assert!(refused, "{}", self.story(&format_args!("a refusal with code {code:?}")));
        self
    }

    /// It is refused, and says this about it to programs.
    ///
    /// # Panics
    /// If it is not.
    #[track_caller]
    pub fn then_refusal_data(self, data: &Value) -> Self {
        let said = self.judgement.as_ref().err().and_then(Refusal::data);
        assert!(
            said.as_ref() == Some(data),
            "{}\n  saying   {said:?}",
            self.story(&format_args!("a refusal with {data}"))
        );
        self
    }

    /// It is accepted, and this command is handed to that instance of `B`.
    ///
    /// # Panics
    /// If it is not, or if the id is none of `B`'s.
    #[track_caller]
    pub fn then_hand_off<B: Aggregate>(self, id: &str, command: impl Into<B::Command>) -> Self
    where
        B::Command: PartialEq,
    {
        assert_id::<B>(id);
        let command: B::Command = command.into();
        let expected = format!("{command:?} handed to {} {id}", B::NAME);
        let found = self.decision(&expected).hand_offs().iter().any(|hand_off| {
            hand_off.aggregate == B::NAME && hand_off.id == id && hand_off.command::<B>() == Some(&command)
        });
        assert!(found, "{}", self.story(&expected));
        self
    }

    /// It is accepted, and nothing is handed to another aggregate.
    ///
    /// # Panics
    /// If it is not.
    #[track_caller]
    pub fn then_no_hand_off(self) -> Self {
        let expected = format_args!("nothing handed on");
        assert!(self.decision(&expected).hand_offs().is_empty(), "{}", self.story(&expected));
        self
    }

    /// It is accepted, with this reply.
    ///
    /// # Panics
    /// If it is not.
    #[track_caller]
    pub fn then_reply(self, reply: &impl Serialize) -> Self {
        let reply = serde_json::to_value(reply).expect("the expected reply is JSON");
        let expected = format!("the reply {reply}");
        let data = self.decision(&expected).reply_data().and_then(Result::ok);
        let data: Option<Value> = data.map(|data| serde_json::from_str(data).expect("checked when it was decided"));
        assert!(data == Some(reply), "{}", self.story(&expected));
        self
    }

    /// The state afterwards is so.
    ///
    /// # Panics
    /// If it is not.
    #[track_caller]
    pub fn then_state(self, is_so: impl FnOnce(&A) -> bool) -> Self {
        assert!(is_so(&self.after.state), "{}\n  state    {:#?}", self.story(&"another state"), self.after.state);
        self
    }

    /// What follows happens at this time.
    #[must_use]
    pub fn at(self, time: Timestamp) -> Given<A> {
        self.after.at(time)
    }

    /// The aggregate judges another command, after this one.
    ///
    /// # Panics
    /// As [`Given::when`].
    #[track_caller]
    pub fn when(self, command: impl Into<A::Command>) -> Then<A> {
        self.after.when(command)
    }

    /// The instance afterwards.
    #[must_use]
    pub fn into_given(self) -> Given<A> {
        self.after
    }

    /// What the aggregate said.
    pub const fn judgement(&self) -> &Result<Decision<A::Event>, A::Refusal> {
        &self.judgement
    }

    #[track_caller]
    fn decision(&self, expected: &dyn Display) -> &Decision<A::Event> {
        let Ok(decision) = &self.judgement else { panic!("{}", self.story(expected)) };
        decision
    }

    fn story(&self, expected: &dyn Display) -> String {
        let Given { id, time, .. } = &self.after;
        let history = &self.after.history[..self.given];
        let outcome = match &self.judgement {
            Ok(decision) => format!("{decision:#?}"),
            Err(refusal) => format!("refused with code {:?}: {refusal}", refusal.code()),
        };
        let (name, command) = (A::NAME, &self.command);
        format!(
            "{name} {id} did not do as expected\n  given    {history:#?}\n  at       {time}\n  when     {command}\n  \
             expected {expected}\n  but      {outcome}"
        )
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use serde::Deserialize;

    use super::*;
    use crate::aggregate::{Context, EventContext};
    use crate::position::Version;
    use crate::schema::{Message, MessageSchema};

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Lamp {
        lit: bool,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
    enum Press {
        On,
        Break,
        Roll,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
    struct Lit {
        number: i64,
    }

    #[derive(Debug, thiserror::Error)]
    #[error("no")]
    struct No(&'static str);

    impl Refusal for No {
        const CODES: &'static [&'static str] = &["lit_already"];

        fn code(&self) -> &'static str {
            self.0
        }
    }

    macro_rules! without_schemas {
        ($($name:ident),*) => {$(
            impl Message for $name {
                const SCHEMAS: &'static [MessageSchema] = &[];
            }
        )*};
    }
    without_schemas!(Lamp, Press, Lit);

    type Lie = Box<dyn Fn()>;

    static DICE: AtomicI64 = AtomicI64::new(0);

    impl Aggregate for Lamp {
        const NAME: &'static str = "lamp";
        type Id = u32;
        type Command = Press;
        type Event = Lit;
        type Refusal = No;

        fn decide(&self, command: Press, at: &Context<'_>) -> Result<Decision<Lit>, No> {
            match command {
                Press::On if self.lit => Err(No("lit_already")),
                Press::On => {
                    Ok(Decision::event(Lit { number: at.next_version.0 }).hand_off::<Self>(7, Press::On).reply(&1))
                }
                Press::Break => Err(No("broken")),
                Press::Roll => Ok(Decision::event(Lit { number: DICE.fetch_add(1, Ordering::Relaxed) })),
            }
        }

        fn evolve(&mut self, _: &Lit, _: &EventContext<'_>) {
            self.lit = true;
        }
    }

    #[test]
    fn a_true_story_is_told_to_its_end() {
        let lamp = Given::<Lamp>::nothing().id("3").when(Press::On).then_events([Lit { number: 1 }]);
        let lamp = lamp.then_hand_off::<Lamp>("7", Press::On).then_reply(&1).then_state(|lamp| lamp.lit);
        let lamp = lamp.when(Press::On).then_refused("lit_already").into_given();
        assert_eq!((lamp.version(), lamp.history()), (Version(1), &[Lit { number: 1 }][..]));
    }

    /// What is not so; each must panic, with these words.
    #[test]
    fn what_is_not_so_is_told_with_the_whole_story() {
        let on = || Given::<Lamp>::nothing().when(Press::On);
        let again = move || on().when(Press::On);
        let lies: [(&str, Lie); 12] = [
            ("expected events", Box::new(move || drop(on().then_events([Lit { number: 2 }])))),
            ("expected events", Box::new(move || drop(again().then_events([Lit { number: 1 }])))),
            ("refused with code \"lit_already\": no", Box::new(move || drop(again().then_no_events()))),
            ("expected no events", Box::new(move || drop(on().then_no_events()))),
            ("expected a refusal", Box::new(move || drop(on().then_refused("lit_already")))),
            ("expected a refusal", Box::new(move || drop(again().then_refused("other")))),
            ("handed to lamp 8", Box::new(move || drop(on().then_hand_off::<Lamp>("8", Press::On)))),
            ("nothing handed on", Box::new(move || drop(on().then_no_hand_off()))),
            ("expected the reply 2", Box::new(move || drop(on().then_reply(&2)))),
            ("expected another state", Box::new(move || drop(on().then_state(|lamp| !lamp.lit)))),
            ("not among the refusal's CODES", Box::new(|| drop(Given::<Lamp>::nothing().when(Press::Break)))),
            ("decide is not pure", Box::new(|| drop(Given::<Lamp>::nothing().when(Press::Roll)))),
        ];
        for (words, lie) in lies {
            let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(lie)).expect_err(words);
            let text = panic.downcast_ref::<String>().expect("a text");
            assert!(text.contains(words), "{words}\n{text}");
        }
    }

    #[test]
    #[should_panic(expected = "\"x\" is no id of lamp")]
    fn an_id_of_another_form_is_told() {
        drop(Given::<Lamp>::nothing().id("x"));
    }
}
