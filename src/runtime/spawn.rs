//! Starting coroutines: safe functions around `may`'s unsafe ones.
//!
//! # Why these are safe
//!
//! `may` marks spawning `unsafe` for two reasons. A coroutine that overflows its stack ends in the
//! guard page, which `generator` maps below every stack: the fault is caught, or the process ends; memory is
//! never overwritten. And a thread-local reached through an address computed before a yield may belong to
//! another thread: no reference to a thread-local can be held across a yield in safe code, for
//! `LocalKey::with` lends it to a closure, and a closure of ours that yields is a bug this crate avoids by
//! keeping its thread-locals in functions that are never inlined and never yield.
//!
//! Cancelling is marked `unsafe` because it unwinds the coroutine at its next yield. That is a panic like
//! any other; what this crate keeps over a yield is unwind-safe.
#![allow(unsafe_code)]

use std::any::Any;
use std::cell::Cell;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;
use std::{fmt, io};

use may::coroutine::{self, Builder, Coroutine};
use parking_lot::Mutex;

use super::context::Context;
use super::id::CoroutineId;
use super::local::Hook;
use super::waiter::Waiter;
use super::worker::{self, WorkerId};
use super::{local, start, time};

/// Starts a coroutine on some worker. It runs as long as it likes and the process lives; what it may do there, and with how
/// much stack (32 KiB), is said at [`runtime`](crate::runtime#what-a-coroutine-may-do).
///
/// # Panics
///
/// When there are as many coroutines as
/// [`RuntimeOptions::max_coroutines`](super::RuntimeOptions::max_coroutines) allows ([`Spawn::try_start`] says so
/// instead), or no stack can be mapped for it (the machine's `vm.max_map_count` is used up).
pub fn spawn<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Spawn::new().start(f)
}

/// Starts a coroutine on `worker`. Panics like [`spawn`].
pub fn spawn_on<F, T>(worker: WorkerId, f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Spawn::new().on(worker).start(f)
}

/// Starts a coroutine on the caller's own worker, without waking any other thread; it runs when the caller next
/// yields. Off a worker it is the same as [`spawn`]. Panics like [`spawn`].
pub fn spawn_here<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Spawn::new().here().start(f)
}

/// How a coroutine is started, for what [`spawn`] and its siblings do not say.
#[derive(Default)]
pub struct Spawn {
    place: Place,
    context: Context,
    on_end: Vec<Hook>,
}

#[derive(Default)]
enum Place {
    #[default]
    Anywhere,
    On(WorkerId),
    Here,
}

/// Why a coroutine could not be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpawnError {
    /// As many run as may: see [`RuntimeOptions::max_coroutines`](super::RuntimeOptions::max_coroutines).
    #[error("there are {limit} coroutines already, as many as may be")]
    TooMany {
        /// How many there may be.
        limit: usize,
    },
    /// The system maps no memory for its stack.
    #[error("no stack can be mapped for another coroutine: the system's memory, or its vm.max_map_count, is used up")]
    NoStack,
}

impl Spawn {
    /// On any worker, with an empty context.
    pub fn new() -> Self {
        Self::default()
    }

    /// On `worker`.
    #[must_use]
    pub fn on(mut self, worker: WorkerId) -> Self {
        self.place = Place::On(worker);
        self
    }

    /// On the caller's own worker, if the caller is on one.
    #[must_use]
    pub fn here(mut self) -> Self {
        self.place = Place::Here;
        self
    }

    /// With the values of `context`, usually [`Context::copy`].
    #[must_use]
    pub fn context(mut self, context: Context) -> Self {
        self.context = context;
        self
    }

    /// Has `hook` run when the coroutine is gone, as [`on_end`](super::on_end) does, and surely: a coroutine
    /// that is cancelled before it comes to its first statement has no time to call that itself.
    #[must_use]
    pub fn on_end(mut self, hook: impl FnOnce() + Send + 'static) -> Self {
        self.on_end.push(Box::new(hook));
        self
    }

    /// Starts it. Panics like [`spawn`].
    pub fn start<F, T>(self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.try_start(f).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts it, unless there are too many coroutines, or no stack can be mapped for it; its hooks are dropped then, and do
    /// not run.
    pub fn try_start<F, T>(self, f: F) -> Result<JoinHandle<T>, SpawnError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        start::ensure_started();
        let place = local::take_place()?;
        let Self { place: at, context, on_end } = self;
        let id = CoroutineId::mint();
        let end = Arc::new(End::default());
        let ending = Ending(Arc::clone(&end));
        // Nothing in it yields, so that nothing can end the coroutine before it is done.
        let begin = move || {
            local::with(|local| local.adopt(id, place, context.into_values(), on_end, ending));
            local::Leaving
        };
        let handle = match at {
            Place::Here if WorkerId::current().is_some() => {
                // SAFETY: see the module's documentation.
                mapped(|| unsafe {
                    Builder::new().spawn_local(move || {
                        let _leaving = begin();
                        // Until its first yield the child runs inside its parent, where an overflow could
                        // not be caught. So it gets out first.
                        coroutine::yield_now();
                        worker::mark_running(Some(id));
                        f()
                    })
                })?
            }
            at => {
                let body = move || {
                    let _leaving = begin();
                    worker::mark_running(Some(id));
                    f()
                };
                match at {
                    Place::On(worker) => raw_spawn_on(worker.index(), body)?,
                    // SAFETY: see the module's documentation.
                    _ => mapped(|| unsafe { Builder::new().spawn(body) })?,
                }
            }
        };
        Ok(JoinHandle { id, inner: handle, end })
    }
}

/// Starts a coroutine that is not counted and has no identity before it asks for one: for what the runtime itself
/// sends to a worker. Only ever [`SpawnError::NoStack`].
pub(super) fn raw_spawn_on<F, T>(worker: usize, f: F) -> Result<coroutine::JoinHandle<T>, SpawnError>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    // SAFETY: see the module's documentation.
    mapped(|| unsafe { Builder::new().id(worker).spawn(f) })
}

/// What `spawn` started. `may` panics where no stack can be mapped, having changed nothing.
fn mapped<T>(spawn: impl FnOnce() -> io::Result<T>) -> Result<T, SpawnError> {
    set_mapping(true);
    let spawned = catch_unwind(AssertUnwindSafe(spawn));
    set_mapping(false);
    match spawned {
        Ok(Ok(spawned)) => Ok(spawned),
        _ => Err(SpawnError::NoStack),
    }
}

thread_local! {
    /// Whether this thread maps a stack: a panic is an answer then, and nothing to report.
    static MAPPING: Cell<bool> = const { Cell::new(false) };
}

// Not inlined, either of them: their caller may go on at another thread.
#[inline(never)]
fn set_mapping(mapping: bool) {
    MAPPING.set(mapping);
}

#[inline(never)]
pub(super) fn is_mapping() -> bool {
    MAPPING.get()
}

/// A spawned coroutine. Dropping it lets the coroutine run on.
pub struct JoinHandle<T> {
    id: CoroutineId,
    inner: coroutine::JoinHandle<T>,
    end: Arc<End>,
}

impl<T> JoinHandle<T> {
    /// The coroutine's id.
    pub fn id(&self) -> CoroutineId {
        self.id
    }

    /// Waits for the coroutine's end: what it returned, or how it ended instead. Its leases have come home by then, and
    /// its end hooks have run.
    ///
    /// # Panics
    ///
    /// On the deep stack, unless the coroutine has ended. Unwinds when the coroutine that waits is cancelled.
    pub fn join(self) -> Result<T, Ended> {
        self.end.wait();
        // It has ended, so may's own wait, which a cancel can turn into an endless one, returns at once. Unless this one
        // unwinds: there is nothing else to return then.
        self.inner.join().map_err(Ended::from_payload)
    }

    /// Whether the coroutine has ended.
    pub fn is_done(&self) -> bool {
        self.inner.is_done()
    }

    /// A handle that can cancel the coroutine, from anywhere, at any time.
    pub fn canceller(&self) -> Canceller {
        Canceller(self.inner.coroutine().clone())
    }
}

/// Tells the one that joins a coroutine that all of it is gone.
#[derive(Default)]
struct End(Mutex<EndState>);

#[derive(Default)]
enum EndState {
    #[default]
    Running,
    Joined(Arc<Waiter>),
    Over,
}

impl End {
    fn wait(&self) {
        if self.is_over() {
            return;
        }
        let waiter = Waiter::new();
        if self.join(&waiter) {
            while !self.is_over() && !time::unwinds() {
                let _ = waiter.park(None);
            }
        }
    }

    fn is_over(&self) -> bool {
        matches!(*self.0.lock(), EndState::Over)
    }

    /// Has `waiter` woken at the end. Whether that is still to come.
    fn join(&self, waiter: &Arc<Waiter>) -> bool {
        let mut state = self.0.lock();
        let is_running = !matches!(*state, EndState::Over);
        if is_running {
            *state = EndState::Joined(Arc::clone(waiter));
        }
        is_running
    }
}

/// Lies in the coroutine's local storage, and is the last of it to be dropped.
pub(super) struct Ending(Arc<End>);

impl Drop for Ending {
    fn drop(&mut self) {
        let before = std::mem::replace(&mut *self.0 .0.lock(), EndState::Over);
        if let EndState::Joined(waiter) = before {
            waiter.unpark();
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Cancels one coroutine.
///
/// The coroutine unwinds at its next yield, or in the wait it is in. It cannot be un-cancelled: every later wait of
/// its unwinds as well, so a cancelled coroutine can no longer answer anybody. Code that never yields is
/// not interrupted.
#[derive(Clone)]
pub struct Canceller(Coroutine);

impl Canceller {
    /// Of the coroutine that asks.
    ///
    /// # Panics
    ///
    /// Outside of coroutines.
    pub(crate) fn of_current() -> Canceller {
        Canceller(coroutine::current())
    }

    /// Cancels. Of no effect on a coroutine that has ended.
    pub fn cancel(&self) {
        // SAFETY: see the module's documentation.
        unsafe { self.0.cancel() }
    }
}

impl fmt::Debug for Canceller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Canceller")
    }
}

/// How a coroutine ended that did not return.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// It was cancelled.
    #[error("the coroutine was cancelled")]
    Cancelled,
    /// It used more stack than it has.
    #[error("the coroutine overflowed its stack")]
    Overflowed,
    /// It panicked; the message, where there was one.
    #[error("the coroutine panicked: {0}")]
    Panicked(String),
}

impl Ended {
    pub(crate) fn from_payload(payload: Box<dyn Any + Send>) -> Self {
        match payload.downcast_ref::<generator::Error>() {
            Some(generator::Error::Cancel) => Self::Cancelled,
            Some(generator::Error::StackErr) => Self::Overflowed,
            _ => Self::Panicked(panic_message(&*payload).to_owned()),
        }
    }
}

/// The text of a panic, as far as there is one.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{on_end, time};
    use crossbeam::channel;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};

    #[test]
    fn ids_are_unique_and_known_inside_and_outside() {
        let handles: Vec<_> = (0..100).map(|_| spawn(CoroutineId::current)).collect();
        let mut seen = std::collections::HashSet::new();
        for handle in handles {
            let outside = handle.id();
            assert_eq!(handle.join().unwrap(), outside);
            assert!(seen.insert(outside));
        }
    }

    #[test]
    fn a_coroutine_that_others_started_gets_an_id_and_keeps_it() {
        let (before, after) = may::go!(|| {
            let before = CoroutineId::current();
            time::yield_now();
            (before, CoroutineId::current())
        })
        .join()
        .unwrap();
        assert_eq!(before, after);
    }

    #[test]
    fn spawn_on_and_spawn_here_choose_the_worker() {
        for worker in start::start(start::RuntimeOptions::default()).workers() {
            let (own, childs) = spawn_on(worker, || {
                let child = spawn_here(WorkerId::current);
                (WorkerId::current(), child.join().unwrap())
            })
            .join()
            .unwrap();
            assert_eq!((own, childs), (Some(worker), Some(worker)));
        }
    }

    #[test]
    fn a_cancel_unwinds_and_runs_the_end_hooks() {
        let (ended, end) = channel::unbounded();
        let handle = spawn(move || {
            on_end(move || ended.send("gone").unwrap());
            time::sleep(Duration::from_secs(3_600));
        });
        handle.canceller().cancel();
        assert!(matches!(handle.join(), Err(Ended::Cancelled)));
        assert_eq!(end.recv_timeout(Duration::from_secs(10)), Ok("gone"));
    }

    #[test]
    fn a_coroutine_that_is_cancelled_before_it_runs_still_ends() {
        let (ended, end) = channel::unbounded();
        spawn(move || {
            let sender = ended.clone();
            let child = Spawn::new()
                .here()
                .on_end(move || ended.send("the spawner's hook").unwrap())
                .start(move || sender.send("its first statement").unwrap());
            // It runs when this coroutine waits, which is now.
            child.canceller().cancel();
            assert!(matches!(child.join(), Err(Ended::Cancelled)));
        })
        .join()
        .unwrap();
        assert_eq!(end.recv_timeout(Duration::from_secs(10)), Ok("the spawner's hook"));
        assert!(end.recv_timeout(Duration::from_secs(10)).is_err(), "nothing else was sent");
    }

    #[test]
    fn a_coroutine_is_counted_until_it_is_gone() {
        let waiting = spawn(|| time::sleep(Duration::from_secs(3_600)));
        assert!(crate::runtime::coroutine_count() >= 1);
        waiting.canceller().cancel();
        assert!(waiting.join().is_err());
    }

    /// The end of the child and the cancel of the one that joins it come while that one is about to wait.
    #[test]
    fn a_join_ends_however_the_childs_end_and_a_cancel_fall_together() {
        let patience = Duration::from_secs(20);
        let workers: Vec<_> = start::start(start::RuntimeOptions::default().workers(2)).workers().collect();
        let [first, second, ..] = workers[..] else { return };
        for round in 0..1_500_u32 {
            let about_to_join = Arc::new(AtomicBool::new(false));
            let joins = Arc::clone(&about_to_join);
            let (give, take) = channel::bounded::<Canceller>(1);
            let parent = spawn_on(first, move || {
                let child = spawn_on(second, move || {
                    let canceller = loop {
                        if let Ok(canceller) = take.try_recv() {
                            break canceller;
                        }
                        std::hint::spin_loop();
                    };
                    while !joins.load(Ordering::Acquire) {
                        std::hint::spin_loop();
                    }
                    (0..round * 7 % 40).for_each(|_| std::hint::spin_loop());
                    canceller.cancel();
                });
                // The child is to be at its loop by then.
                let began = Instant::now();
                while began.elapsed() < Duration::from_micros(60) {
                    std::hint::spin_loop();
                }
                about_to_join.store(true, Ordering::Release);
                let _ = child.join();
            });
            give.send(parent.canceller()).unwrap();
            let deadline = Instant::now() + patience;
            while !parent.is_done() {
                assert!(Instant::now() < deadline, "in round {round} the join never ended");
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn what_a_coroutine_had_is_given_back_when_its_join_returns() {
        for _ in 0..200 {
            let given_back = Arc::new(AtomicBool::new(false));
            let told = Arc::clone(&given_back);
            let coroutine = spawn(move || {
                on_end(move || {
                    std::thread::sleep(Duration::from_micros(100));
                    told.store(true, Ordering::Release);
                });
            });
            coroutine.join().unwrap();
            assert!(given_back.load(Ordering::Acquire));
        }
    }

    #[test]
    fn a_panic_is_told_with_its_message_and_ends_nothing_else() {
        let bystander = spawn(|| {
            time::sleep(Duration::from_millis(20));
            7
        });
        let message = spawn(|| -> () { panic!("number {}", 3) }).join().unwrap_err().to_string();
        assert_eq!(message, "the coroutine panicked: number 3");
        assert_eq!(bystander.join().unwrap(), 7);
    }

    #[test]
    fn a_sleep_ends_on_a_worker() {
        let worker = spawn(|| {
            time::sleep(Duration::from_millis(2));
            WorkerId::current()
        });
        assert!(worker.join().unwrap().is_some());
    }

    #[test]
    fn a_timed_out_wait_ends_on_a_worker() {
        let (result, worker) = spawn(|| {
            let result = time::Waiter::new().park(Some(Duration::from_millis(2)));
            (result, WorkerId::current())
        })
        .join()
        .unwrap();
        assert_eq!(result, Err(time::TimedOut));
        assert!(worker.is_some());
    }
}
