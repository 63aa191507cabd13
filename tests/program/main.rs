//! The whole program as its users see it. Each test runs the real one.
//!
//! All in one binary, since each binary of tests is linked with everything anew.

mod chaos;
mod client;
#[path = "../common/mod.rs"]
mod common;
mod docs;
mod engine_settings;
mod hostile;
mod lifecycle;
mod process;
mod process_cli;
mod server;
mod sessions;
