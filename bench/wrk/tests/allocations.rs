//! In the steady state a message costs no allocation: counted over all threads, against a server that makes none itself.
#![allow(unsafe_code, reason = "an allocator that counts")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};

use common::{tcp_server, wrk};

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

struct Counting;

// SAFETY: every call is handed to the system's allocator unchanged; counting neither allocates nor fails.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: `memory` came from `System` by `alloc` or `realloc`, with this layout.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as in `dealloc`; the caller keeps the contract of `realloc`, which is the same.
        unsafe { System.realloc(memory, layout, bytes) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A head's bytes, two of an extended length, four of mask, and the payload.
const FRAME: usize = 2 + 2 + 4 + 128;

/// Upgrades, then sends back frames of 128 bytes, in buffers of its own stack.
fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut request, mut length) = ([0; 1024], 0);
    while !request[..length].ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut request[length..=length])?;
        length += 1;
    }
    stream.write_all(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    )?;
    let mut frame = [0; FRAME];
    loop {
        stream.read_exact(&mut frame)?;
        let mask = [frame[4], frame[5], frame[6], frame[7]];
        let mut answer = [0; FRAME - 4];
        answer[..4].copy_from_slice(&[0x82, 126, 0, 128]);
        for (at, byte) in frame[8..].iter().enumerate() {
            answer[4 + at] = byte ^ mask[at % 4];
        }
        stream.write_all(&answer)?;
    }
}

/// Allocations and answers of one run.
fn count(line: &str, addr: SocketAddr) -> (u64, u64) {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let outcome = wrk(line, addr);
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    assert!(outcome.is_right(), "{:?}", outcome.totals);
    (allocations, outcome.totals.latencies.count())
}

#[test]
fn a_message_allocates_nothing_closed_loop_or_open() {
    let addr = tcp_server(|_, stream| drop(echo(stream)));
    // the same connections with as good as no messages: what a run allocates by itself
    let (without, few) = count("-t1 -c4 -d2s -R 1 ws://{}/echo", addr);
    for line in ["-t1 -c4 -d2s ws://{}/echo", "-t1 -c4 -d2s -R 500 ws://{}/echo"] {
        let (with, many) = count(line, addr);
        assert!(many > few + 200, "{many} messages are too few to tell");
        assert!(
            with < without + (many - few) / 10,
            "{with} allocations for {many} messages, {without} for {few}"
        );
    }
}
