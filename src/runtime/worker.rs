//! The worker threads, and what each of them is running.

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam::queue::SegQueue;
use parking_lot::Mutex;

use super::id::CoroutineId;
use super::spawn::{self, SpawnError};
use super::stacks;
use super::waiter::Waiter;

/// One of the threads that run coroutines, counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(u16);

impl WorkerId {
    /// The worker that runs the caller, or `None` on any other thread. A coroutine that a timer of `may`'s own woke is
    /// on that timer's thread until its next yield; the waits of [`time`](super::time) end only on a worker.
    pub fn current() -> Option<Self> {
        CURRENT_WORKER.get()
    }

    /// Its place among the workers, from 0.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    pub(super) fn number(self) -> u16 {
        self.0
    }

    pub(super) fn new(index: usize) -> Self {
        Self(u16::try_from(index).expect("start() bounds the number of workers"))
    }

    fn state(self) -> Option<&'static State> {
        STATES.get()?.get(self.index())
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker {}", self.0)
    }
}

impl fmt::Debug for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The coroutine that `worker` runs now, as far as the runtime has seen: it looks where a coroutine starts
/// and where it comes back from a wait of [`time`](super::time). `None` between coroutines.
pub fn worker_activity(worker: WorkerId) -> Option<CoroutineId> {
    CoroutineId::from_u64(worker.state()?.running.load(Ordering::Relaxed))
}

/// Notes that the current worker runs `id` from here on.
pub(super) fn mark_running(id: Option<CoroutineId>) {
    if let Some(state) = WorkerId::current().and_then(WorkerId::state) {
        state.running.store(id.map_or(0, CoroutineId::get), Ordering::Relaxed);
    }
}

/// Notes that `id` is gone: if the current worker ran it, it runs nothing now.
pub(super) fn mark_ended(id: CoroutineId) {
    if let Some(state) = WorkerId::current().and_then(WorkerId::state) {
        // Only this worker writes its mark.
        if state.running.load(Ordering::Relaxed) == id.get() {
            state.running.store(0, Ordering::Relaxed);
        }
    }
}

/// How long a worker may go without a look at its sockets.
const POLL_PERIOD: Duration = Duration::from_millis(1);

/// How long it may go without one while waits end, which as a rule come to an end of themselves: who has it look now is
/// behind all the others then.
const POLL_PERIOD_OF_WAITS: Duration = Duration::from_millis(250);

/// So many waits end at a worker before somebody asks.
const WAITS_BETWEEN_LOOKS: u32 = 64;

/// Whether `worker` should look at its sockets before it goes on with its queue: no look has come to its end for a
/// millisecond.
pub(super) fn poll_is_due(worker: WorkerId) -> bool {
    poll_is_due_at(worker, Instant::now())
}

/// The same at `now`.
pub(super) fn poll_is_due_at(worker: WorkerId, now: Instant) -> bool {
    worker.state().is_some_and(|state| state.has_not_looked_for(POLL_PERIOD, now))
}

/// Notes that a wait has ended at `worker`. Whether it should look at its sockets now: coroutines that wake each other keep
/// its queue from being empty, as those that yield do.
pub(super) fn poll_is_due_after_a_wait(worker: WorkerId) -> bool {
    let Some(state) = worker.state() else { return false };
    // Only this worker counts here.
    let waits = state.waits.load(Ordering::Relaxed).wrapping_add(1);
    state.waits.store(waits, Ordering::Relaxed);
    waits.is_multiple_of(WAITS_BETWEEN_LOOKS)
        && state.has_not_looked_for(POLL_PERIOD_OF_WAITS, Instant::now())
}

/// Has `waiter` woken after the next look of `worker` at its sockets. The first one to ask for it
/// has to see to it that there is one.
pub(super) fn await_poll(worker: WorkerId, waiter: &Arc<Waiter>) -> Option<AwaitedPoll> {
    let mut awaiting = worker.state()?.awaiting_poll.lock();
    awaiting.waiters.push(Arc::clone(waiter));
    Some(AwaitedPoll { worker, number: awaiting.next, is_first: awaiting.waiters.len() == 1 })
}

/// A look at the sockets that is to come.
pub(super) struct AwaitedPoll {
    worker: WorkerId,
    number: u64,
    /// Whether nobody has asked for it before.
    pub(super) is_first: bool,
}

impl AwaitedPoll {
    pub(super) fn has_happened(&self) -> bool {
        self.worker.state().is_none_or(|state| state.awaiting_poll.lock().next > self.number)
    }
}

/// Notes that `worker` has looked at its sockets.
pub(super) fn has_looked(worker: WorkerId) {
    worker.state().inspect(|state| state.last_poll_nanos.store(clock(Instant::now()), Ordering::Relaxed));
}

/// Notes that `worker` has looked at its sockets, and wakes those that wait for it.
pub(super) fn poll_has_happened(worker: WorkerId) {
    let Some(state) = worker.state() else { return };
    // First: who is woken must not find the next look due.
    has_looked(worker);
    let waiters = {
        let mut awaiting = state.awaiting_poll.lock();
        awaiting.next += 1;
        std::mem::take(&mut awaiting.waiters)
    };
    waiters.iter().for_each(|waiter| waiter.unpark());
}

/// Has `waiter` woken by a coroutine of `worker`, or here if none can be sent there: better here than never. From
/// anywhere, also from a drop: it never waits or panics.
pub(super) fn wake_at(worker: WorkerId, waiter: Arc<Waiter>) -> Result<(), SpawnError> {
    let state = worker.state().expect("whoever has a worker's number has its state");
    stacks::have_room();
    state.to_wake.push(waiter);
    if state.waking.swap(true, Ordering::AcqRel) {
        return Ok(());
    }
    spawn::raw_spawn_on(worker.index(), || wake_all(state)).map(drop).inspect_err(|_| wake_all(state))
}

fn wake_all(state: &State) {
    // In this order: whoever comes after the queue was found empty sends another one.
    state.waking.swap(false, Ordering::AcqRel);
    while let Some(waiter) = state.to_wake.pop() {
        waiter.unpark_here();
    }
}

/// Whether somebody waits for `worker` to look at its sockets.
#[cfg(test)]
pub(super) fn poll_is_awaited(worker: WorkerId) -> bool {
    worker.state().is_some_and(|state| !state.awaiting_poll.lock().waiters.is_empty())
}

/// How often `worker` has looked at its sockets because it was asked to.
#[cfg(test)]
pub(super) fn polls(worker: WorkerId) -> u64 {
    worker.state().map_or(0, |state| state.awaiting_poll.lock().next)
}

/// Nanoseconds from the first call to `now`.
fn clock(now: Instant) -> u64 {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    now.saturating_duration_since(*EPOCH.get_or_init(|| now)).as_nanos() as u64
}

/// Makes room for the marks of `count` workers. Once a process.
pub(super) fn prepare(count: usize) {
    STATES.get_or_init(|| (0..count).map(|_| State::default()).collect());
}

/// Makes the calling thread the worker `id`, unless it is one already.
pub(super) fn enlist(id: WorkerId) {
    CURRENT_WORKER.set(id);
}

/// What is known of one worker, on cache lines of its own: it is written at every switch.
#[derive(Default)]
#[repr(align(128))]
struct State {
    /// The coroutine it runs, 0 for none.
    running: AtomicU64,
    /// When it last looked at its sockets, by [`clock`].
    last_poll_nanos: AtomicU64,
    awaiting_poll: Mutex<AwaitingPoll>,
    /// How many waits have ended here.
    waits: AtomicU32,
    /// What others have woken that waits at this worker.
    to_wake: SegQueue<Arc<Waiter>>,
    /// Whether a coroutine that does it is on its way.
    waking: AtomicBool,
}

impl State {
    fn has_not_looked_for(&self, period: Duration, now: Instant) -> bool {
        clock(now).saturating_sub(self.last_poll_nanos.load(Ordering::Relaxed)) >= period.as_nanos() as u64
    }
}

/// Those that wait for a worker's next look at its sockets.
#[derive(Default)]
struct AwaitingPoll {
    /// The number of that look.
    next: u64,
    waiters: Vec<Arc<Waiter>>,
}

static STATES: OnceLock<Box<[State]>> = OnceLock::new();

/// The thread's own number. Reached only through functions that are never inlined: a coroutine may come
/// back from a yield on another thread, and the compiler must not reuse the address it computed before.
struct CurrentWorker;

static CURRENT_WORKER: CurrentWorker = CurrentWorker;

thread_local! {
    static WORKER: Cell<Option<WorkerId>> = const { Cell::new(None) };
}

impl CurrentWorker {
    #[inline(never)]
    fn get(&self) -> Option<WorkerId> {
        WORKER.get()
    }

    #[inline(never)]
    fn set(&self, id: WorkerId) {
        WORKER.set(Some(id));
    }
}
