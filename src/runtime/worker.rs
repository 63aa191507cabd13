//! The worker threads, and what each of them is running.

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::id::CoroutineId;

/// One of the threads that run coroutines, counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(u16);

impl WorkerId {
    /// The worker that runs the caller, or `None` on any other thread. A coroutine that a timer woke is
    /// on the timer's thread until its next yield; the waits of [`time`](super::time) end only on a worker.
    pub fn current() -> Option<Self> {
        CURRENT_WORKER.get()
    }

    /// Its place among the workers, from 0.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    pub(super) fn new(index: usize) -> Self {
        Self(u16::try_from(index).expect("start() bounds the number of workers"))
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
    let running = RUNNING.get()?.get(worker.index())?;
    CoroutineId::from_u64(running.0.load(Ordering::Relaxed))
}

/// Notes that the current worker runs `id` from here on.
pub(super) fn mark_running(id: Option<CoroutineId>) {
    if let (Some(worker), Some(running)) = (WorkerId::current(), RUNNING.get()) {
        running[worker.index()].0.store(id.map_or(0, CoroutineId::get), Ordering::Relaxed);
    }
}

/// Notes that `id` is gone: if the current worker ran it, it runs nothing now.
pub(super) fn mark_ended(id: CoroutineId) {
    if let (Some(worker), Some(running)) = (WorkerId::current(), RUNNING.get()) {
        let mark = &running[worker.index()].0;
        // Only this worker writes its mark.
        if mark.load(Ordering::Relaxed) == id.get() {
            mark.store(0, Ordering::Relaxed);
        }
    }
}

/// Whether the current worker should look at its sockets before it goes on with its queue; says so once a
/// millisecond.
#[inline(never)]
pub(super) fn poll_is_due() -> bool {
    const PERIOD: Duration = Duration::from_millis(1);
    let now = Instant::now();
    LAST_POLL.with(|last| {
        let due = last.get().is_none_or(|last| now.duration_since(last) >= PERIOD);
        if due {
            last.set(Some(now));
        }
        due
    })
}

/// Makes room for the marks of `count` workers. Once a process.
pub(super) fn prepare(count: usize) {
    RUNNING.get_or_init(|| (0..count).map(|_| Running::default()).collect());
}

/// Makes the calling thread the worker `id`, unless it is one already.
pub(super) fn enlist(id: WorkerId) {
    CURRENT_WORKER.set(id);
}

/// One worker's mark, on a cache line of its own: it is written at every switch.
#[derive(Default)]
#[repr(align(128))]
struct Running(AtomicU64);

static RUNNING: OnceLock<Box<[Running]>> = OnceLock::new();

/// The thread's own number. Reached only through functions that are never inlined: a coroutine may come
/// back from a yield on another thread, and the compiler must not reuse the address it computed before.
struct CurrentWorker;

static CURRENT_WORKER: CurrentWorker = CurrentWorker;

thread_local! {
    static WORKER: Cell<Option<WorkerId>> = const { Cell::new(None) };
    static LAST_POLL: Cell<Option<Instant>> = const { Cell::new(None) };
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
