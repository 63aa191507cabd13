//! `/chaos/*`: requests that fail inside a sandbox, so that anyone can see what the runtime does then. Only
//! there with `--chaos`.

use std::hint::black_box;
use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

use sandbox::{AudioSandbox, Packets, Scratch};

use super::app::State;
use super::error::Refusal;
use super::routes::millis;
use crate::net::http::{Request, Response};
use crate::runtime::{deep_stack, time};

/// The longest `/chaos/spin`: a spinning request stops its whole worker.
const MAX_SPIN: Duration = Duration::from_secs(60);

const KINDS: &str = "/chaos/panic, /chaos/overflow, /chaos/spin?ms=, /chaos/hang, /chaos/error";

/// Takes a sandbox and fails in it as `kind` says.
pub(super) fn respond(state: &State, kind: &str, request: &Request) -> Result<Response, Refusal> {
    let fail: fn(&mut AudioSandbox, Duration) -> Result<Response, Refusal> = match kind {
        "panic" => |_, _| panic!("/chaos/panic was asked for"),
        "overflow" => |_, _| Err(Refusal::Failed(format!("survived {} calls", overflow(1)))),
        "spin" => |_, duration| Ok(spin(duration)),
        "hang" => |_, _| loop {
            time::sleep(Duration::from_secs(3_600));
        },
        "error" => |sandbox, _| Err(error(sandbox)),
        _ => return Err(Refusal::bad(404, "NOT_FOUND", format!("accepted: {KINDS}"))),
    };
    let duration = Duration::from_millis(millis(request, "ms", 1_000, MAX_SPIN)?);
    tracing::warn!("/chaos/{kind} was asked for");
    state.pool.checkout()?.enter(|sandbox| fail(sandbox, duration))
}

/// Works without a yield: nothing can interrupt it, and its worker runs nothing else.
fn spin(duration: Duration) -> Response {
    let end = Instant::now() + duration;
    while Instant::now() < end {
        std::hint::spin_loop();
    }
    Response::text(200, "spun\n")
}

/// An error in the midst of processing: a packet that is none.
fn error(sandbox: &mut AudioSandbox) -> Refusal {
    deep_stack::run(|| {
        deep_stack::scratch(|(scratch, answer): &mut (Scratch, Packets)| {
            match sandbox.process(&[0xff; 3][..], scratch, answer) {
                Ok(_) => Refusal::Failed("a packet of three bytes 0xff was processed".to_owned()),
                Err(error) => Refusal::Failed(error.to_string()),
            }
        })
    })
}

/// Calls itself until the coroutine's stack is used up.
///
/// `may` ends the process when it finds the lowest word of an overflowed stack written. So page boundaries, and the end
/// of the stack is one, are only crossed in the middle of a large frame of which nothing is written ([`leap`]); small
/// steps lead to the next place to leap from.
#[inline(never)]
fn overflow(depth: usize) -> usize {
    const PAGE: usize = 4096;
    let here = black_box(&depth) as *const usize as usize % PAGE;
    let deeper = if (1_500..2_300).contains(&here) { leap(depth) } else { step(depth) };
    black_box(deeper) + 1
}

#[inline(never)]
fn step(depth: usize) -> usize {
    let frame = black_box([depth; 16]);
    overflow(depth + 1) + black_box(&frame).len()
}

#[inline(never)]
fn leap(depth: usize) -> usize {
    let mut frame = [const { MaybeUninit::<u8>::uninit() }; 3_300];
    black_box(&mut frame);
    overflow(depth + 1) + black_box(&frame).len()
}
