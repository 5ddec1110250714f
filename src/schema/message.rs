//! What ties a Rust type to its `.avsc` files: [`Message`], [`Head`], [`Record`] and the macros
//! [`messages!`](crate::messages) and [`state!`](crate::state).
//!
//! A type and its schema say the same thing twice. They promise to agree field by field;
//! [`check`](super::check) holds them to it in tests and at start.
//!
//! What to know when writing such a type: a newtype is `#[serde(transparent)]` or `try_from`/`into`
//! (a plain newtype would be a record of its own in Avro); `long` is `i64`, `int` is `i32`, `bytes` is
//! [`bytes::Bytes`]; `["null", X]` is `Option<X>`; any other union is an enum with one newtype variant
//! for each branch, in order; an Avro enum is an enum of unit variants; a struct, and nothing else, is a
//! record of the same name. There are no recursive types.

use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// One `.avsc` file and the message it describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageSchema {
    /// The message's type name: the Rust type's, the record's and the file's.
    pub name: &'static str,
    /// The text of the file.
    pub avsc: &'static str,
    /// Whether only the engine may send it: hand-offs, sagas and controls.
    pub internal: bool,
}

impl MessageSchema {
    /// The schema of the message `name`.
    #[must_use]
    pub const fn new(name: &'static str, avsc: &'static str) -> Self {
        Self { name, avsc, internal: false }
    }

    /// The same, not to be offered to clients.
    #[must_use]
    pub const fn internal(self) -> Self {
        Self { internal: true, ..self }
    }
}

/// A message or a state: what may stand in the `data` of an envelope.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no message",
    note = "tie an enum of messages to its schemas with `headwater::messages!`, a state with `headwater::state!`"
)]
pub trait Message: Serialize + DeserializeOwned + Clone + Debug + Send + Sync + 'static {
    /// Of an enum one for each variant, in the variants' order; of a state exactly one.
    const SCHEMAS: &'static [MessageSchema];
}

/// The fields of an envelope, all but its `data`. The Rust type's name in serde is [`NAME`](Self::NAME).
pub trait Head: Serialize + DeserializeOwned + Clone + Debug + Send + Sync + 'static {
    /// The envelope's type name, to which the topic's namespace is added.
    const NAME: &'static str;
    /// A record with the envelope's fields, all but `data`.
    const AVSC: &'static str;
}

/// A record that is the whole value of a topic of the engine's own.
pub trait Record: Serialize + DeserializeOwned + Clone + Debug + Send + Sync + 'static {
    /// Its type name, in the namespace `headwater`.
    const NAME: &'static str;
    /// Its schema.
    const AVSC: &'static str;
}

/// The engine has no messages of its own on this topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Never {}

impl Message for Never {
    const SCHEMAS: &'static [MessageSchema] = &[];
}

/// Ties an enum to one `.avsc` file for each variant. Each variant holds the struct of the same name,
/// which is in scope and derives `Clone`, `Debug`, `PartialEq`, `Serialize` and `Deserialize`.
///
/// The folder is seen from the crate's root. `internal` before a variant keeps it from clients.
///
/// A shape that changes so much that Avro's resolution cannot read the old one becomes a message of another
/// name; the old one stays as a `retired` one, so that what was written stays readable and `schemas check`
/// lets the change pass. The enum has no variant for it: it is upcast as it is read, by
/// `From`, or by `TryFrom` if not every value of it makes sense: one that does not is undecodable.
///
/// A file holds one record of the variant's name, without a namespace; types of its own stand where they are
/// used first. Rust types and the Avro types that they agree with:
///
/// | Rust | Avro |
/// |---|---|
/// | `bool`, `String` | `boolean`, `string` |
/// | `i8` to `i32`, `u8`, `u16` | `int` |
/// | `i64`, `u32`, `NonZeroU32` | `long`; there is none for `u64` |
/// | `f32`, `f64` | `float`, `double` |
/// | `Uuid` | `{"type": "string", "logicalType": "uuid"}` |
/// | `Timestamp` | `{"type": "long", "logicalType": "timestamp-micros"}` |
/// | `Option<T>` | `["null", T]`, with `"default": null` |
/// | `Vec<T>`, `HashMap<String, T>` | `array`, `map` |
/// | an enum without data | `enum`, with its variants as symbols |
/// | an enum whose variants hold structs | a union of records, by the variants' names |
/// | a struct with named fields; one without fields is `struct Return {}` | `record` |
/// | a newtype | what it is `#[serde(transparent)]` or `try_from` and `into` of |
///
/// Hints beside a field's type are rules for input: `"minimum"`, `"maximum"`, `"pattern"`, `"minLength"`,
/// `"maxLength"`; `"json": "decimal(2)"` shows a `long` of hundredths as `"1.25"`; `"secret": true` hides it.
///
/// ```ignore
/// messages! {
///     /// What may be asked of an account.
///     pub enum Command in "schemas/bank/account/commands" { DepositFunds, internal OpenAccount }
/// }
///
/// messages! {
///     /// What can happen to a jar. An earlier release wrote amounts as text.
///     pub enum Event in "schemas/jar/events" { PutIn, retired Poured }
/// }
///
/// impl From<Poured> for Event {
///     fn from(old: Poured) -> Self {
///         Self::PutIn(PutIn { amount: hundredths(&old.amount) })
///     }
/// }
/// ```
#[macro_export]
macro_rules! messages {
    ($(#[$meta:meta])* $vis:vis enum $name:ident in $dir:literal { $($variants:tt)* }) => {
        $crate::messages!(@next [$(#[$meta])* $vis enum $name in $dir] [] [] $($variants)*);
    };
    (@next $head:tt [$($done:tt)*] [$($old:tt)*] retired $variant:ident $(, $($rest:tt)*)?) => {
        $crate::messages!(@next $head [$($done)*] [$($old)* $variant] $($($rest)*)?);
    };
    (@next $head:tt [$($done:tt)*] $old:tt $(#[$meta:meta])* internal $variant:ident $(, $($rest:tt)*)?) => {
        $crate::messages!(@next $head [$($done)* { [$(#[$meta])*] $variant [.internal()] }] $old $($($rest)*)?);
    };
    (@next $head:tt [$($done:tt)*] $old:tt $(#[$meta:meta])* $variant:ident $(, $($rest:tt)*)?) => {
        $crate::messages!(@next $head [$($done)* { [$(#[$meta])*] $variant [] }] $old $($($rest)*)?);
    };
    (@next [$(#[$meta:meta])* $vis:vis enum $name:ident in $dir:literal]
        [$({ [$(#[$variant_meta:meta])*] $variant:ident [$($internal:tt)*] })*] [$($retired:ident)*]) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, ::serde::Serialize)]
        $vis enum $name {
            $(
                $(#[$variant_meta])*
                #[doc = concat!("See [`", stringify!($variant), "`].")]
                $variant($variant),
            )*
        }

        $(
            impl ::core::convert::From<$variant> for $name {
                fn from(message: $variant) -> Self {
                    Self::$variant(message)
                }
            }
        )*

        // Retired shapes are known only where values are read.
        const _: () = {
            #[derive(::serde::Deserialize)]
            enum Stored {
                $($variant($variant),)*
                $($retired($retired),)*
            }

            impl<'de> ::serde::Deserialize<'de> for $name {
                fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> ::core::result::Result<Self, D::Error> {
                    let stored = <Stored as ::serde::Deserialize>::deserialize(deserializer)?;
                    ::core::result::Result::Ok(match stored {
                        $(Stored::$variant(message) => Self::$variant(message),)*
                        $(
                            Stored::$retired(message) => <Self as ::core::convert::TryFrom<$retired>>::try_from(message)
                                .map_err(::serde::de::Error::custom)?,
                        )*
                    })
                }
            }
        };

        impl $crate::schema::Message for $name {
            const SCHEMAS: &'static [$crate::schema::MessageSchema] = &[
                $($crate::messages!(@schema $dir $variant)$($internal)*,)*
                $($crate::messages!(@schema $dir $retired).internal(),)*
            ];
        }
    };
    (@schema $dir:literal $message:ident) => {
        $crate::schema::MessageSchema::new(
            stringify!($message),
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $dir, "/", stringify!($message), ".avsc")),
        )
    };
}

/// Ties a state to its `.avsc` file, which has the type's name.
///
/// ```ignore
/// state! { Account in "schemas/bank/account" }
/// ```
#[macro_export]
macro_rules! state {
    ($name:ident in $dir:literal) => {
        impl $crate::schema::Message for $name {
            const SCHEMAS: &'static [$crate::schema::MessageSchema] = &[$crate::schema::MessageSchema::new(
                stringify!($name),
                include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $dir, "/", stringify!($name), ".avsc")),
            )];
        }
    };
}
