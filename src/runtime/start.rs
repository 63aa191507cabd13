//! Starting the worker threads, once a process.

use std::panic;
use std::sync::{Arc, Barrier, OnceLock};

use may::coroutine;

use super::worker::{self, WorkerId};
use super::{deep_stack, local, spawn, stacks, timer, waiter};

/// How the runtime starts. [`Default`] suits the machine.
#[derive(Clone, Debug)]
pub struct RuntimeOptions {
    workers: usize,
    pin: bool,
    max_coroutines: usize,
}

/// The most workers a runtime has; `may` keeps that many selectors inline.
pub const MAX_WORKERS: usize = 128;

impl Default for RuntimeOptions {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { workers: cores.min(MAX_WORKERS), pin: false, max_coroutines: usize::MAX }
    }
}

impl RuntimeOptions {
    /// The number of worker threads, 1 to 128. Default: one a core that the process may use.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers.clamp(1, MAX_WORKERS);
        self
    }

    /// Whether each worker is pinned to a core. Default: no, for a pinned worker cannot leave a core that
    /// another process keeps busy.
    #[must_use]
    pub fn pin(mut self, pin: bool) -> Self {
        self.pin = pin;
        self
    }

    /// How many coroutines there may be at a time. Default: any number. Each takes two memory mappings, of which the
    /// system allows a process `vm.max_map_count` (65,530 by default); without mappings left the process ends, so a
    /// program that serves strangers sets this below half of that.
    #[must_use]
    pub fn max_coroutines(mut self, most: usize) -> Self {
        self.max_coroutines = most;
        self
    }
}

/// The running runtime.
#[derive(Debug)]
pub struct Runtime {
    workers: usize,
}

impl Runtime {
    /// The worker threads.
    pub fn workers(&self) -> impl ExactSizeIterator<Item = WorkerId> {
        (0..self.workers).map(WorkerId::new)
    }
}

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// Starts the workers; a later call returns the runtime that runs already, and its options count for
/// nothing. Spawning starts it with the defaults where nobody did before.
pub fn start(options: RuntimeOptions) -> &'static Runtime {
    RUNTIME.get_or_init(|| {
        let config = may::config();
        stacks::prepare(options.workers);
        config.set_workers(options.workers).set_worker_pin(options.pin);
        // Another part of the process may have started may's workers before us: what it says is what runs.
        let workers = may::config().get_workers();
        worker::prepare(workers);
        local::set_limit(options.max_coroutines);
        install_panic_hook();
        waiter::start_collector();
        timer::start();
        stacks::start_trimmer(workers);
        enlist_workers(workers);
        Runtime { workers }
    })
}

/// Starts the workers with the defaults where nobody did before. Asking the machine for its cores reads files, so
/// a spawn must not do it while the runtime runs.
pub(super) fn ensure_started() {
    if RUNTIME.get().is_none() {
        start(RuntimeOptions::default());
    }
}

/// Tells every worker thread its number. A coroutine is sent to each, and none lets go of its thread before
/// all have one, so each thread gets exactly one number even where `may` was built to steal work.
fn enlist_workers(workers: usize) {
    let all_here = Arc::new(Barrier::new(workers));
    let enlisted: Vec<_> = (0..workers)
        .map(|index| {
            let all_here = Arc::clone(&all_here);
            let enlisted = spawn::raw_spawn_on(index, move || {
                worker::enlist(WorkerId::new(index));
                all_here.wait();
                // Mapped now, when it can be: the report of a panic needs it, and must not panic.
                deep_stack::run(|| ());
            });
            enlisted.unwrap_or_else(|error| panic!("the runtime cannot start: {error}"))
        })
        .collect();
    for handle in enlisted {
        handle.wait();
    }
}

/// A cancel is a panic that says nothing, and so is that of a stack which cannot be mapped, for the spawn returns it; any
/// other panic is reported as before, on the deep stack, for a backtrace needs more room than a coroutine has.
fn install_panic_hook() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let is_cancel = matches!(info.payload().downcast_ref(), Some(generator::Error::Cancel));
        if !is_cancel && !spawn::is_mapping() {
            // A plain thread has room enough, and may be ending: its thread-locals may be gone.
            if coroutine::is_coroutine() {
                deep_stack::run(|| report(info));
            } else {
                report(info);
            }
        }
    }));
}
