//! The audio server: the runtime, the pool, sessions, routes and listeners wired together.
//!
//! * [`serve`] starts it and returns when it has been told to stop and has drained.
//! * `routes` answers HTTP requests, `process` enhances uploaded recordings into an `answer`, `chaos` fails on demand.
//! * `echo` is the WebSocket that answers every message with itself.

mod answer;
mod app;
mod chaos;
mod echo;
mod error;
mod process;
mod routes;
mod serve;
mod views;

pub use serve::{serve, ServeError, Server};
