//! sandpool: a stackful-coroutine sandbox pool runtime for request handlers, and the real-time
//! audio server built on it.
//!
//! Modules import only downwards in this list, never up; [`runtime`] knows nothing of audio, HTTP
//! or WebSocket.

pub mod audio_file;
pub mod cli;
pub mod config;
pub mod net;
pub mod observe;
pub mod protocol;
pub mod runtime;
pub mod server;
pub mod session;
