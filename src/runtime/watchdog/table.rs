//! The table of what is running: pure, and without a clock of its own.
//!
//! ```text
//!   begin ──► shard of the worker ──► slot
//!   Watch dropped ──► slot free again
//!   sweep(now) ──► [Finding: Soft once, Hard once]
//! ```
//!
//! There is one shard a worker and one for everything else, so two workers never meet at a lock.
//! A shard is a slab, not a map: beginning and ending touch one slot, and a sweep can walk it in
//! small steps and let the lock go in between. The price is that a look-up by [`CoroutineId`] is a
//! scan, which only reports and live views do.
//!
//! A coroutine may have any number of entries at once (a request, and a step within it). Each has a
//! slot of its own, which belongs to its [`Watch`] alone: nothing else ends it, so none is ended
//! twice, and a slot is never taken from under newer work.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::utils::CachePadded;
use parking_lot::Mutex;

use crate::runtime::{CoroutineId, WorkerId};

/// How many slots a sweep looks at before it lets the shard's lock go for a moment: about a
/// microsecond of work.
const SWEEP_STEP: usize = 256;

/// What an entry is called in the log and in live views.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Label {
    /// A name known when the program was compiled: costs nothing.
    Fixed(&'static str),
    /// A name made at run time, shared so that a copy is cheap.
    Shared(Arc<str>),
}

impl Label {
    /// The text.
    pub fn as_str(&self) -> &str {
        match self {
            Label::Fixed(text) => text,
            Label::Shared(text) => text,
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<&'static str> for Label {
    fn from(text: &'static str) -> Label {
        Label::Fixed(text)
    }
}

impl From<Arc<str>> for Label {
    fn from(text: Arc<str>) -> Label {
        Label::Shared(text)
    }
}

impl From<String> for Label {
    fn from(text: String) -> Label {
        Label::Shared(text.into())
    }
}

/// Whether an entry counts as a request in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A request: counted in [`Table::in_flight`].
    Request,
    /// A part of something that is counted already, or that is no request: a frame, say.
    Step,
}

/// What is done with work that passed its hard limit.
///
/// Called at most once an entry, on the watchdog's thread, outside of every lock. It must not
/// block: while it does, nothing else is watched. The work may end at the same moment; so whatever
/// this does (cancelling, answering in its stead) must be harmless when it comes too late.
pub trait OnExpiry: Send + Sync {
    /// The work in `finding` has passed its hard limit and was still in the table.
    fn expired(&self, finding: &Finding);
}

impl<F: Fn(&Finding) + Send + Sync> OnExpiry for F {
    fn expired(&self, finding: &Finding) {
        self(finding)
    }
}

/// A piece of work to be watched: what it is and how long it may take.
#[derive(Clone)]
pub struct Work {
    what: Label,
    kind: Kind,
    soft_limit: Option<Duration>,
    hard_limit: Option<Duration>,
    on_expiry: Option<Arc<dyn OnExpiry>>,
}

impl Work {
    /// A request, without limits yet.
    pub fn request(what: impl Into<Label>) -> Work {
        Work::new(what.into(), Kind::Request)
    }

    /// A step that does not count as a request, without limits yet.
    pub fn step(what: impl Into<Label>) -> Work {
        Work::new(what.into(), Kind::Step)
    }

    fn new(what: Label, kind: Kind) -> Work {
        Work { what, kind, soft_limit: None, hard_limit: None, on_expiry: None }
    }

    /// Past this age the watchdog warns, once. Default: never.
    pub fn soft_limit(mut self, limit: Duration) -> Work {
        self.soft_limit = Some(limit);
        self
    }

    /// Past this age the work has expired: reported once, and [`OnExpiry`] is called if there is
    /// one. Default: never.
    pub fn hard_limit(mut self, limit: Duration) -> Work {
        self.hard_limit = Some(limit);
        self
    }

    /// What to do at the hard limit. Default: only report it.
    pub fn on_expiry(mut self, action: Arc<dyn OnExpiry>) -> Work {
        self.on_expiry = Some(action);
        self
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work")
            .field("what", &self.what)
            .field("kind", &self.kind)
            .field("soft_limit", &self.soft_limit)
            .field("hard_limit", &self.hard_limit)
            .field("on_expiry", &self.on_expiry.is_some())
            .finish()
    }
}

/// Which limit was passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The soft one: a warning.
    Soft,
    /// The hard one: the work has expired.
    Hard,
}

/// An entry that passed a limit.
#[derive(Clone)]
pub struct Finding {
    /// The limit it passed.
    pub limit: Limit,
    /// The entry, as it was at the sweep.
    pub entry: EntryView,
    /// What its owner wants done now; always `None` at the soft limit.
    pub on_expiry: Option<Arc<dyn OnExpiry>>,
}

impl fmt::Debug for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finding")
            .field("limit", &self.limit)
            .field("entry", &self.entry)
            .finish_non_exhaustive()
    }
}

/// One entry, for live views and reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryView {
    /// The coroutine that does the work.
    pub coroutine: CoroutineId,
    /// The worker it began at; `None` outside of workers.
    pub worker: Option<WorkerId>,
    /// What it does.
    pub what: Label,
    /// Whether it counts as a request.
    pub kind: Kind,
    /// For how long it has been running.
    pub age: Duration,
}

/// What runs now, and since when.
pub struct Table {
    /// One a worker, in the workers' order, and a last one for coroutines of no worker.
    shards: Box<[Arc<Shard>]>,
}

impl Table {
    /// A table for coroutines of `workers` workers. Work of other workers is watched as well, and
    /// counted as of no worker.
    pub fn new(workers: usize) -> Table {
        Table { shards: (0..=workers).map(|_| Arc::default()).collect() }
    }

    /// Enters `work` of `coroutine`; it is over when the [`Watch`] is dropped.
    pub fn begin(&self, coroutine: CoroutineId, worker: Option<WorkerId>, work: Work, now: Instant) -> Watch {
        let shard = &self.shards[self.shard_of(worker)];
        let slot = shard.slots.lock().insert(Entry { coroutine, worker, began: now, work });
        Watch { shard: Arc::clone(shard), slot, coroutine }
    }

    /// Every entry that passed a limit since the last sweep, each limit reported once an entry.
    /// Work that passed both since then is only reported as expired.
    ///
    /// No lock is held for longer than a few hundred entries take.
    pub fn sweep(&self, now: Instant) -> Vec<Finding> {
        let mut findings = Vec::new();
        for shard in &self.shards {
            shard.walk(|slots, range| {
                for entry in slots.entries_mut(range) {
                    findings.extend(entry.check(now));
                }
            });
        }
        findings
    }

    /// All entries, for a live view. Entries that begin or end meanwhile may or may not be in it.
    pub fn snapshot(&self, now: Instant) -> Vec<EntryView> {
        let mut views = Vec::new();
        for shard in &self.shards {
            shard.walk(|slots, range| views.extend(slots.entries_mut(range).map(|entry| entry.view(now))));
        }
        views
    }

    /// The entries of one coroutine, a request's steps included. A scan of the whole table.
    pub fn find(&self, coroutine: CoroutineId, now: Instant) -> Vec<EntryView> {
        let mut views = Vec::new();
        for shard in &self.shards {
            shard.walk(|slots, range| {
                let entries = slots.entries_mut(range).filter(|entry| entry.coroutine == coroutine);
                views.extend(entries.map(|entry| entry.view(now)));
            });
        }
        views
    }

    /// How many requests are in flight, a number a worker in the workers' order.
    pub fn in_flight(&self) -> Vec<usize> {
        let workers = self.shards.len() - 1;
        self.shards[..workers].iter().map(|shard| shard.slots.lock().requests).collect()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.slots.lock().occupied()).sum()
    }

    /// Whether nothing is running.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard_of(&self, worker: Option<WorkerId>) -> usize {
        let elsewhere = self.shards.len() - 1;
        worker.map_or(elsewhere, |worker| worker.index().min(elsewhere))
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("entries", &self.len()).finish_non_exhaustive()
    }
}

/// Work that is being watched, until this is dropped.
///
/// It may be dropped on any thread, and lie in a coroutine's local storage: with
/// [`on_end`](crate::runtime::on_end) it ends also when the coroutine's stack overflows and no
/// `Drop` on it runs.
#[must_use = "the work is watched only for as long as this lives"]
pub struct Watch {
    shard: Arc<Shard>,
    slot: u32,
    coroutine: CoroutineId,
}

impl Watch {
    /// The coroutine that does the work.
    pub fn coroutine(&self) -> CoroutineId {
        self.coroutine
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // In two steps: what the owner wants done at expiry is dropped outside of the lock.
        let ended = self.shard.slots.lock().remove(self.slot);
        drop(ended);
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("coroutine", &self.coroutine).finish_non_exhaustive()
    }
}

struct Entry {
    coroutine: CoroutineId,
    worker: Option<WorkerId>,
    began: Instant,
    /// A limit that has been reported is not in it any more.
    work: Work,
}

impl Entry {
    fn check(&mut self, now: Instant) -> Option<Finding> {
        let age = now.saturating_duration_since(self.began);
        if self.work.hard_limit.is_some_and(|limit| limit <= age) {
            self.work.hard_limit = None;
            self.work.soft_limit = None;
            let on_expiry = self.work.on_expiry.take();
            return Some(Finding { limit: Limit::Hard, entry: self.view(now), on_expiry });
        }
        if self.work.soft_limit.is_some_and(|limit| limit <= age) {
            self.work.soft_limit = None;
            return Some(Finding { limit: Limit::Soft, entry: self.view(now), on_expiry: None });
        }
        None
    }

    fn view(&self, now: Instant) -> EntryView {
        EntryView {
            coroutine: self.coroutine,
            worker: self.worker,
            what: self.work.what.clone(),
            kind: self.work.kind,
            age: now.saturating_duration_since(self.began),
        }
    }
}

#[derive(Default)]
struct Shard {
    slots: CachePadded<Mutex<Slots>>,
}

impl Shard {
    /// Shows all slots to `visit`, some at a time, the lock let go in between.
    fn walk(&self, mut visit: impl FnMut(&mut Slots, std::ops::Range<usize>)) {
        let mut start = 0;
        loop {
            let mut slots = self.slots.lock();
            let end = slots.slots.len().min(start + SWEEP_STEP);
            if start >= end {
                return;
            }
            visit(&mut slots, start..end);
            start = end;
        }
    }
}

/// A slab: slots are reused and the vector never shrinks, so that at a steady load nothing is
/// allocated.
#[derive(Default)]
struct Slots {
    slots: Vec<Option<Entry>>,
    /// Indices of the vacant slots, last freed first.
    vacant: Vec<u32>,
    /// How many of the entries are requests.
    requests: usize,
}

impl Slots {
    fn insert(&mut self, entry: Entry) -> u32 {
        self.requests += usize::from(entry.work.kind == Kind::Request);
        let index = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push(None);
            // Entries are far larger than a byte: memory ends long before the numbers do.
            (self.slots.len() - 1) as u32
        });
        self.slots[index as usize] = Some(entry);
        index
    }

    /// Takes the entry out of a slot. Once for every `insert`: called by the drop of its [`Watch`] only.
    fn remove(&mut self, index: u32) -> Option<Entry> {
        let entry = self.slots[index as usize].take()?;
        self.vacant.push(index);
        self.requests -= usize::from(entry.work.kind == Kind::Request);
        Some(entry)
    }

    fn entries_mut(&mut self, range: std::ops::Range<usize>) -> impl Iterator<Item = &mut Entry> {
        self.slots[range].iter_mut().flatten()
    }

    fn occupied(&self) -> usize {
        self.slots.len() - self.vacant.len()
    }
}

#[cfg(test)]
mod tests;
