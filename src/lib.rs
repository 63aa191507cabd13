//! sandpool: a stackful-coroutine sandbox pool runtime for request handlers, and the real-time
//! audio server built on it.
//!
//! To embed the runtime with a sandbox of your own, start at [`runtime`]: it knows nothing of audio, HTTP or
//! WebSocket. From the top down the rooms are [`cli`], [`server`], [`session`], [`protocol`], [`audio_file`], [`net`],
//! [`observe`], [`config`] and [`runtime`]; each one imports only from those after it.

pub mod audio_file;
pub mod cli;
pub mod config;
pub mod net;
pub mod observe;
pub mod protocol;
pub mod runtime;
pub mod server;
pub mod session;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
