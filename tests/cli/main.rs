//! The command line, as a shell sees it: what it writes where, and how it ends.

mod endings;
mod guide;
mod guide_over_http;
mod health;
mod rebuilding;
mod sending;
mod sharing;
mod world;
