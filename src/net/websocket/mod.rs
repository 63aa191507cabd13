//! The WebSocket protocol (RFC 6455), sans-I/O: the handshake, and frames to messages and back.
//!
//! Frame headers, close codes and the handshake's key come from `tungstenite`. Its `WebSocket` type is not used, for what
//! an idle connection costs is decided here: it holds a read buffer a connection for ever, and keeps the
//! allocation of the largest message it ever read. The [`Decoder`] takes bytes straight out of a buffer that
//! belongs to whoever reads just now, so an idle connection has no buffer at all, a large message is copied
//! once, and memory grows with the bytes that really came, not with the length a header claims.

mod decode;
mod encode;
mod handshake;

pub(crate) use decode::{Decoder, Incoming, Violation, NO_ROOM};
pub(crate) use encode::{
    encode_close, encode_message, encode_ping, encode_pong, frame_len, MAX_CONTROL_FRAME,
};
pub(crate) use handshake::{accept_upgrade, wants_upgrade};
