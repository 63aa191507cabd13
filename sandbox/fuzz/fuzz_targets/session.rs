//! Any session on an audio sandbox: see `session/mod.rs`.
#![no_main]

#[path = "../session/mod.rs"]
mod session;

libfuzzer_sys::fuzz_target!(|input: session::Session| input.run());
