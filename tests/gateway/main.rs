//! The engine as it is called from outside: by applications as a library, and over HTTP.

mod around;
mod bank;
mod calls;
mod commands;
mod crashes;
mod customers;
mod described;
mod hostile;
mod outage;
mod outcomes;
mod own_routes;
#[allow(dead_code, reason = "shared with other tests, each of which uses a part")]
mod own_servers;
mod queries;
mod raw;
mod replies;
mod sample;
mod served;
#[path = "../bank/servers.rs"]
mod servers;
mod serving;
mod statuses;
mod streams;
mod streams_on_kafka;
mod waits;
mod workers;
#[path = "../journal/world.rs"]
#[allow(dead_code, reason = "shared with other tests, each of which uses a part")]
mod world;
