//! Using up a stack on purpose: what shows that an overflow costs one coroutine and no more.
//!
//! `may` ends the process when it finds the lowest word of an overflowed stack written. So page boundaries, and the end
//! of the stack is one, are only crossed in the middle of a large frame of which nothing is written ([`leap`]); small
//! steps lead to the next place to leap from.

use std::hint::black_box;
use std::mem::MaybeUninit;

/// Calls itself until the coroutine's stack is used up; how often, where it has no end.
pub(crate) fn overflow() -> usize {
    go_deeper(1)
}

#[inline(never)]
fn go_deeper(depth: usize) -> usize {
    const PAGE: usize = 4096;
    let here = black_box(&depth) as *const usize as usize % PAGE;
    let deeper = if (1_500..2_300).contains(&here) { leap(depth) } else { step(depth) };
    black_box(deeper) + 1
}

#[inline(never)]
fn step(depth: usize) -> usize {
    let frame = black_box([depth; 16]);
    go_deeper(depth + 1) + black_box(&frame).len()
}

#[inline(never)]
fn leap(depth: usize) -> usize {
    let mut frame = [const { MaybeUninit::<u8>::uninit() }; 3_300];
    black_box(&mut frame);
    go_deeper(depth + 1) + black_box(&frame).len()
}
