//! `/chaos/*`: requests that fail inside a sandbox, so that anyone can see what the runtime does then. Only
//! there with `--chaos`.

use std::time::{Duration, Instant};

use sandbox::{AudioSandbox, Packets, Scratch};

use super::app::State;
use super::error::Refusal;
use super::routes::millis;
use crate::net::http::{Request, Response};
use crate::runtime::{deep_stack, overflow, time};

/// The longest `/chaos/spin`: a spinning request stops its whole worker.
const MAX_SPIN: Duration = Duration::from_secs(60);

const KINDS: &str = "/chaos/panic, /chaos/overflow, /chaos/spin?ms=, /chaos/hang, /chaos/error";

/// Takes a sandbox and fails in it as `kind` says.
pub(super) fn respond(state: &State, kind: &str, request: &Request) -> Result<Response, Refusal> {
    let fail: fn(&mut AudioSandbox, Duration) -> Result<Response, Refusal> = match kind {
        "panic" => |_, _| panic!("/chaos/panic was asked for"),
        "overflow" => |_, _| Err(Refusal::Failed(format!("survived {} calls", overflow()))),
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
