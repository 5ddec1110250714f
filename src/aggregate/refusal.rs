//! How an aggregate says no.

use std::convert::Infallible;

/// An aggregate's "no": a business answer with a code for programs and a text, its `Display`, for
/// people.
pub trait Refusal: std::error::Error + Send + 'static {
    /// Every code there is, for documentation and for clients.
    const CODES: &'static [&'static str];
    /// This refusal's code, one of [`CODES`](Self::CODES): lower case letters and `_`.
    fn code(&self) -> &'static str;
    /// More about it, for programs.
    fn data(&self) -> Option<serde_json::Value> {
        None
    }
}

impl Refusal for Infallible {
    const CODES: &'static [&'static str] = &[];

    fn code(&self) -> &'static str {
        match *self {}
    }
}
