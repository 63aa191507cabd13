//! Running stack-hungry code on a big stack of the thread's own.
//!
//! A coroutine has 32 KiB of stack; libopus needs three times that. Giving every coroutine a big stack would pin
//! the memory of one for each connection. Code that never waits can instead run on one big stack a
//! worker: [`run`] switches to it and back.
//!
//! # When code waits all the same
//!
//! Code on the deep stack must not wait. The waits of this crate panic there. Should it wait through `may` directly,
//! memory stays sound: a running call *owns* its stack and its scratch (the thread gets others for the next call),
//! scratch is never freed, and it knows the coroutine that has it. But the scope through which a call finds its
//! scratch is the thread's: one that waits and goes on may leave it changed for another call that waits there as
//! well, which then finds its [`scratch`] refused, as outside of [`run`].
//!
//! An overflow of the deep stack hits its guard page and ends the process: it is sized at four times
//! what the audio sandbox was measured to need.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};

use corosensei::stack::DefaultStack;
use may::coroutine;
use parking_lot::Mutex;
use scoped_tls::scoped_thread_local;

use super::id::CoroutineId;

/// The size of a deep stack. Only the pages that were ever touched take memory. libopus needs up to 105 KB (stereo,
/// complexity 10).
pub const SIZE: usize = 512 * 1024;

/// Runs `f` on the thread's deep stack, and panics as `f` panics.
///
/// Inside another `run` it calls `f` directly, and so it does on a plain thread, which has a stack of
/// its own.
///
/// # Panics
///
/// When no memory can be mapped for the stack, the first time on a thread that is no worker.
// Not inlined, like everything here that reaches a thread-local: see `take_idle`.
#[inline(never)]
pub fn run<R>(f: impl FnOnce() -> R) -> R {
    if is_current() {
        return f();
    }
    let mut deep = take_idle();
    let scratch = deep.scratch;
    scratch.owner.store(CoroutineId::current().get(), Ordering::Relaxed);
    // A panic is caught and resumed below, so that the stack goes back to its thread.
    let call = || catch_unwind(AssertUnwindSafe(|| SCRATCH.set(scratch, f)));
    let result = if coroutine::is_coroutine() {
        let stack = deep.stack.get_or_insert_with(|| {
            DefaultStack::new(SIZE)
                .unwrap_or_else(|error| panic!("no memory for a stack of {SIZE} bytes: {error}"))
        });
        corosensei::on_stack(stack, call)
    } else {
        call()
    };
    scratch.owner.store(0, Ordering::Relaxed);
    put_idle(deep);
    result.unwrap_or_else(|panic| resume_unwind(panic))
}

/// Whether the caller runs inside [`run`].
#[inline(never)]
pub fn is_current() -> bool {
    // The scope may be that of another coroutine, which waited in there.
    SCRATCH.is_set()
        && SCRATCH.with(|scratch| scratch.owner.load(Ordering::Relaxed)) == CoroutineId::current().get()
}

/// Lends the scratch of type `T` that belongs to the worker's deep stack: buffers too big for every sandbox
/// to have its own, whose contents mean nothing between two calls.
///
/// # Panics
///
/// Outside [`run`], and when `T` is lent already (a call inside `f`).
#[inline(never)]
pub fn scratch<T: Default + Send + 'static, R>(f: impl FnOnce(&mut T) -> R) -> R {
    assert!(is_current(), "scratch exists on the deep stack only: call it inside deep_stack::run");
    SCRATCH.with(|scratch| {
        let slot = scratch
            .slot(TypeId::of::<T>(), || Box::new(Mutex::new(Box::<T>::default() as Box<dyn Any + Send>)));
        let mut value = slot.try_lock().expect("this scratch is lent already");
        f(value.downcast_mut().expect("a slot is found by the type it holds"))
    })
}

scoped_thread_local!(static SCRATCH: Scratch);

/// A stack, made when it is first needed, and the scratch that goes with it.
struct DeepStack {
    stack: Option<DefaultStack>,
    scratch: &'static Scratch,
}

type Slot = Mutex<Box<dyn Any + Send>>;

/// Values by type. Slots are never removed, and a `Scratch` is never freed: a worker lives as long as the process.
#[derive(Default)]
struct Scratch {
    /// The coroutine whose call has it, 0 for none.
    owner: AtomicU64,
    slots: Mutex<Vec<(TypeId, &'static Slot)>>,
}

impl Scratch {
    fn slot(&self, key: TypeId, make: impl FnOnce() -> Box<Slot>) -> &'static Slot {
        let mut slots = self.slots.lock();
        if let Some((_, slot)) = slots.iter().find(|(at, _)| *at == key) {
            return slot;
        }
        let slot: &'static Slot = Box::leak(make());
        slots.push((key, slot));
        slot
    }
}

/// The deep stacks of this thread that nothing runs on: one, unless something waited on it. When a thread
/// ends, they go to the next one that needs any.
struct Idle(Vec<DeepStack>);

thread_local! {
    static IDLE: RefCell<Idle> = const { RefCell::new(Idle(Vec::new())) };
}

static LEFT_BEHIND: Mutex<Vec<DeepStack>> = Mutex::new(Vec::new());

impl Drop for Idle {
    fn drop(&mut self) {
        LEFT_BEHIND.lock().append(&mut self.0);
    }
}

/// Never inlined: the coroutine may come back on another thread, and must not reuse this thread's address.
#[inline(never)]
fn take_idle() -> DeepStack {
    IDLE.try_with(|idle| idle.borrow_mut().0.pop())
        .ok()
        .flatten()
        .or_else(|| LEFT_BEHIND.lock().pop())
        .unwrap_or_else(|| DeepStack { stack: None, scratch: Box::leak(Box::default()) })
}

/// Never inlined, as above.
#[inline(never)]
fn put_idle(deep: DeepStack) {
    let mut deep = Some(deep);
    // A thread that is ending has no list any more.
    let _ = IDLE.try_with(|idle| idle.borrow_mut().0.extend(deep.take()));
    if let Some(deep) = deep {
        LEFT_BEHIND.lock().push(deep);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{spawn, time};

    /// Uses `kilobytes` of stack, for certain.
    fn burn(kilobytes: usize) -> usize {
        let block = std::hint::black_box([1_u8; 1024]);
        let deeper = if kilobytes > 1 { burn(kilobytes - 1) } else { 0 };
        deeper + usize::from(std::hint::black_box(&block)[512])
    }

    #[test]
    fn code_that_would_overflow_a_coroutine_runs_on_the_deep_stack() {
        let burnt = spawn(|| run(|| burn(200))).join().unwrap();
        assert_eq!(burnt, 200);
    }

    #[test]
    fn a_panic_crosses_back_and_the_stack_is_used_again() {
        let message = spawn(|| run(|| -> () { panic!("from below") })).join().unwrap_err().to_string();
        assert!(message.contains("from below"), "{message}");
        assert!(spawn(|| run(|| burn(100))).join().is_ok());
    }

    #[test]
    fn waiting_on_the_deep_stack_is_refused() {
        let message = spawn(|| run(time::yield_now)).join().unwrap_err().to_string();
        assert!(message.contains("yield_now on the deep stack"), "{message}");
    }

    #[test]
    fn scratch_stays_with_the_thread_and_is_found_by_type() {
        std::thread::spawn(|| {
            run(|| scratch(|buffer: &mut Vec<u8>| buffer.push(7)));
            run(|| scratch(|other: &mut Vec<u16>| assert!(other.is_empty())));
            run(|| scratch(|buffer: &mut Vec<u8>| assert_eq!(*buffer, [7])));
        })
        .join()
        .unwrap();
    }

    #[test]
    fn code_that_waits_there_all_the_same_keeps_a_stack_of_its_own() {
        let coroutines: Vec<_> = (0..8_u8)
            .map(|number| {
                spawn(move || {
                    run(|| {
                        let mine = [number; 4096];
                        may::coroutine::yield_now();
                        std::hint::black_box(&mine).iter().all(|&byte| byte == number)
                    })
                })
            })
            .collect();
        assert!(coroutines.into_iter().all(|coroutine| coroutine.join().unwrap()));
    }
}
