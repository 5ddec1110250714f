//! The engine as it is called from outside: by applications as a library, and over HTTP.

mod calls;
mod commands;
mod outcomes;
mod queries;
mod replies;
mod sample;
mod served;
mod streams;
