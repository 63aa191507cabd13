//! sandpool: a stackful-coroutine sandbox pool runtime for request handlers, and the real-time
//! audio server built on it.
//!
//! Modules import only downwards in this list, never up; [`runtime`] knows nothing of audio, HTTP
//! or WebSocket.

pub mod cli;
pub mod server;
pub mod session;
pub mod protocol;
pub mod audio_file;
pub mod net;
pub mod observe;
pub mod config;
pub mod runtime;
