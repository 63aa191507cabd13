//! A coroutine that overflows its stack while it holds a lease.
//!
//! Each case runs in processes of its own: this test binary again, told to run that one test, which finds by
//! an environment variable that it is the one to overflow. With large frames the overflow hits the guard page without
//! having written the lowest word of the stack, and the process survives; with small ones `may` finds that word
//! written and ends the process. Both are shown, and that nothing is lost wherever the process survives.

use std::hint::black_box;
use std::mem::MaybeUninit;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use sandpool::runtime::{spawn, Ended, Lease};

use crate::support::{eventually, quiet, Probe, Workshop};

const SURVIVED: &str = "the pool is whole again";
const PADDING: &str = "SANDPOOL_TEST_PADDING";

#[derive(Debug, PartialEq)]
enum Fate {
    /// The process went on, and all that the test asks for held.
    Survived,
    /// `may` ended the process.
    Ended,
}

/// Runs `test` of this file again, with its frames shifted by `padding` bytes, in a process of its own.
fn in_a_process_of_its_own(test: &str, padding: usize) -> Fate {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("overflow::{test}"), "--nocapture", "--test-threads=1"])
        .env(PADDING, padding.to_string())
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let survived = output.status.success() && stdout.contains(SURVIVED);
    let ended = output.status.code() == Some(1) && stderr.contains("stack overflow detected");
    assert!(survived || ended, "{output:?}");
    if survived {
        Fate::Survived
    } else {
        Fate::Ended
    }
}

/// By how much the frames are to be shifted, in a process that was started to overflow.
fn padding() -> Option<usize> {
    std::env::var(PADDING).ok().map(|bytes| bytes.parse().unwrap())
}

/// Runs `overflow` here if this process was started for it. Else starts such processes for `test`, the caller:
/// which word of the stack is the last one written is a matter of luck, and one of them at least survives.
fn survives(test: &str, overflow: impl FnOnce()) {
    if padding().is_some() {
        return overflow();
    }
    let fates = [0, 64, 256, 1024].map(|padding| in_a_process_of_its_own(test, padding));
    assert!(fates.contains(&Fate::Survived), "{fates:?}");
}

#[test]
fn a_sandbox_overflowed_with_large_frames_is_replaced() {
    survives("a_sandbox_overflowed_with_large_frames_is_replaced", || {
        overflow_with(1, |mut leases| {
            leases[0].enter(|_| black_box(large_frames(0)));
        });
    });
}

#[test]
fn a_lease_skipped_by_an_overflow_outside_its_sandbox_is_replaced() {
    survives("a_lease_skipped_by_an_overflow_outside_its_sandbox_is_replaced", || {
        overflow_with(1, |leases| {
            black_box(large_frames(0));
            drop(leases);
        });
    });
}

#[test]
fn several_leases_skipped_by_one_overflow_are_all_replaced() {
    survives("several_leases_skipped_by_one_overflow_are_all_replaced", || {
        overflow_with(3, |mut leases| {
            let (first, others) = leases.split_first_mut().unwrap();
            first.enter(|_| others[0].enter(|_| black_box(large_frames(0))));
        });
    });
}

#[test]
fn an_overflow_with_small_frames_ends_the_process_or_replaces_the_sandbox() {
    if padding().is_some() {
        return overflow_with(1, |mut leases| {
            leases[0].enter(|_| black_box(small_frames(0)));
        });
    }
    in_a_process_of_its_own("an_overflow_with_small_frames_ends_the_process_or_replaces_the_sandbox", 0);
}

/// Overflows in frames of more than [`FRAME`] bytes, of which it touches little.
#[expect(unconditional_recursion, reason = "that is its purpose")]
fn large_frames(depth: usize) -> usize {
    const FRAME: usize = 6 * 1024;
    let mut frame = [const { MaybeUninit::<u8>::uninit() }; FRAME];
    black_box(&mut frame)[FRAME / 2].write(depth as u8);
    let deeper = large_frames(depth + 1);
    black_box(&frame);
    deeper + 1
}

/// Overflows in frames that are as small as can be, and full.
#[expect(unconditional_recursion, reason = "that is its purpose")]
fn small_frames(depth: usize) -> usize {
    let deeper = small_frames(black_box(depth) + 1);
    black_box(deeper) + black_box(depth)
}

/// Calls `f` with at least `bytes` less of stack, in steps of 64.
fn padded(bytes: usize, f: &mut dyn FnMut()) {
    let frame = black_box([0_u8; 64]);
    if bytes == 0 {
        f();
    } else {
        padded(bytes - 64, f);
    }
    black_box(&frame);
}

fn overflow_with(leases: usize, end: impl FnOnce(Vec<Lease<Probe>>) + Send + 'static) {
    let workshop = Arc::new(Workshop::default());
    let pool = workshop.pool(quiet(4).min_idle(4));
    let theirs = pool.clone();
    let overflowed = spawn(move || {
        let leases = (0..leases).map(|_| theirs.checkout().unwrap()).collect();
        let mut run = Some((leases, end));
        padded(padding().unwrap_or(0), &mut || {
            let (leases, end) = run.take().unwrap();
            end(leases);
        });
    });
    let ended = overflowed.join();
    assert!(matches!(ended, Err(Ended::Overflowed)), "{ended:?}");
    eventually("every place is free again", || pool.status().leased == 0);
    let status = pool.status();
    assert_eq!((status.discarded, status.idle, workshop.alive()), (leases as u64, 4 - leases, 4 - leases));
    assert_eq!(pool.leases(), []);
    // The whole capacity can be lent again, from a coroutine, on the same workers.
    spawn(move || {
        let mut all: Vec<_> =
            (0..4).map(|_| pool.checkout_within(Duration::from_secs(20)).unwrap()).collect();
        all.iter_mut().for_each(|lease| lease.enter(|probe| probe.work(9, || ())));
        assert!(pool.try_checkout().is_err());
    })
    .join()
    .unwrap();
    println!("{SURVIVED}");
}
