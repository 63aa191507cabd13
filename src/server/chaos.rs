//! `/chaos/*`: requests that fail inside a sandbox, so that anyone can see what the runtime does then. Only
//! there with `--chaos`.

use std::time::{Duration, Instant};

use super::app::State;
use super::error::Refusal;
use super::routes::millis;
use crate::net::http::{Request, Response};
use crate::runtime::time;

/// The longest `/chaos/spin`: a spinning request stops its whole worker.
const MAX_SPIN: Duration = Duration::from_secs(60);

const KINDS: &str = "/chaos/panic, /chaos/overflow, /chaos/spin?ms=, /chaos/hang, /chaos/error";

/// Takes a sandbox and fails in it as `kind` says.
pub(super) fn respond(state: &State, kind: &str, request: &Request) -> Result<Response, Refusal> {
    let spin = Duration::from_millis(millis(request, "ms", 1_000, MAX_SPIN)?);
    let mut lease = state.pool.checkout()?;
    match kind {
        "panic" => lease.enter(|_| panic!("/chaos/panic was asked for")),
        "overflow" => {
            let depth = lease.enter(|_| overflow(1));
            Err(Refusal::Failed(format!("survived {depth} calls")))
        }
        "spin" => {
            lease.enter(|_| {
                let end = Instant::now() + spin;
                while Instant::now() < end {
                    std::hint::spin_loop();
                }
            });
            Ok(Response::text(200, "spun\n"))
        }
        "hang" => lease.enter(|_| loop {
            time::sleep(Duration::from_secs(3_600));
        }),
        "error" => {
            lease.discard();
            Err(Refusal::Failed("/chaos/error was asked for; its sandbox is replaced".to_owned()))
        }
        _ => Err(Refusal::bad(404, "NOT_FOUND", format!("accepted: {KINDS}"))),
    }
}

/// Calls itself until the coroutine's stack is used up. Its frames are smaller than the guard page, so the fault is
/// in it, and larger than a few words, so the lowest word of the stack stays as it was.
#[inline(never)]
fn overflow(depth: usize) -> usize {
    let frame = std::hint::black_box([depth; 200]);
    if depth == 0 {
        return 0;
    }
    overflow(depth + 1) + usize::from(std::hint::black_box(&frame)[7] == 0)
}
