//! The poller itself: a worker's connections, their deadlines, and the coroutine that watches over both.

use std::collections::VecDeque;
use std::io;
use std::iter;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::queue::SegQueue;
use parking_lot::Mutex;
use slab::Slab;

use super::http::HttpState;
use super::io::Readiness;
use super::link::{Body, Link, Protocol, ShortTick, NEVER};
use super::runners::{Ready as ReadyJobs, ROOM_KEPT};
use super::turns::Turns;
use crate::net::app::App;
use crate::net::buffers::Buffers;
use crate::net::front::Counters;
use crate::net::options::NetOptions;
use crate::net::poller::{Duty, EpollSet, Flags, Ready, Wheel, TICK_MS};
use crate::runtime::watchdog::Watchdog;
use crate::runtime::{time, WorkerId};

/// What all pollers of one listener share.
pub(crate) struct FrontShared<A> {
    pub(crate) app: A,
    pub(crate) options: NetOptions,
    pub(crate) watchdog: Watchdog,
    pub(crate) counters: Counters,
    /// The listener shuts down: no connection is kept alive any more.
    pub(crate) closing: AtomicBool,
    /// Nor is a request waited for any longer.
    pub(crate) cutting_off: AtomicBool,
}

/// One worker's connections.
pub(crate) struct Poller<A: App> {
    pub(crate) front: Arc<FrontShared<A>>,
    pub(crate) buffers: Buffers,
    /// Where its drivers wait that have done enough for now.
    pub(crate) turns: Arc<Turns>,
    pub(crate) ready: ReadyJobs<A>,
    home: WorkerId,
    set: EpollSet,
    links: Mutex<Links<A>>,
    /// Reminders: a connection's token and the tick at which it was promised one.
    wheel: Mutex<Wheel<(u64, u64)>>,
    /// What other threads want done here.
    requests: SegQueue<(Duty, Arc<Link<A>>)>,
    /// Whether the eventfd has been written since `requests` was last emptied.
    woken: AtomicBool,
    load: AtomicUsize,
    stopped: AtomicBool,
    epoch: Instant,
}

struct Links<A: App> {
    slab: Slab<Arc<Link<A>>>,
    /// Told apart by this are the connections that have had one place in the slab.
    generation: u32,
}

/// After so many full looks at the set the drivers get their turn before the next one.
const LOOKS_IN_A_ROW: usize = 8;
/// So many connections that have ended, or whose deadline has passed, are told so before the others get their turn.
const TOLD_AT_ONCE: usize = 32;

/// A connection that is told something when its turn comes.
type InTurn<A> = (Arc<Link<A>>, Flags);

impl<A: App> Poller<A> {
    /// A poller for the connections of `home`, and the coroutine that runs it.
    pub(crate) fn start(front: Arc<FrontShared<A>>, home: WorkerId) -> io::Result<Arc<Poller<A>>> {
        let set = EpollSet::new()?;
        let waitable = set.waitable_on(home)?;
        let poller = Arc::new(Poller {
            front,
            buffers: Buffers::new(),
            turns: Arc::default(),
            ready: ReadyJobs::default(),
            home,
            set,
            links: Mutex::new(Links { slab: Slab::new(), generation: 0 }),
            wheel: Mutex::new(Wheel::new(0)),
            requests: SegQueue::new(),
            woken: AtomicBool::new(false),
            load: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            epoch: Instant::now(),
        });
        let running = Arc::clone(&poller);
        crate::runtime::spawn_on(home, move || {
            let mut in_turn = VecDeque::new();
            while !running.stopped.load(Ordering::Acquire) {
                running.drain(&mut in_turn);
                waitable.wait();
            }
        });
        Ok(poller)
    }

    /// How many connections it has.
    pub(crate) fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }

    /// Takes a connection that has just been accepted. From any thread. A `refused` one gets 503 for its first request.
    pub(crate) fn adopt(
        self: &Arc<Self>,
        socket: TcpStream,
        peer: Option<SocketAddr>,
        refused: bool,
    ) -> io::Result<()> {
        let first_due = self.now() + millis(self.front.options.head_timeout);
        let link = {
            let mut links = self.links.lock();
            links.generation = links.generation.wrapping_add(1) & 0x7FFF_FFFF;
            let generation = links.generation;
            let entry = links.slab.vacant_entry();
            let token = u64::from(generation) << 32 | entry.key() as u64;
            let body = Body {
                readiness: Readiness::new(),
                protocol: Protocol::Http(HttpState::new(first_due, refused)),
            };
            let link = Arc::new(Link::new(socket, peer, token, Arc::clone(self), body));
            entry.insert(Arc::clone(&link));
            link
        };
        self.load.fetch_add(1, Ordering::Relaxed);
        link.set_deadline(first_due);
        if let Err(error) = link.socket.with(|socket| self.set.add(socket, link.token)) {
            // Nobody has seen it yet, so nobody drives it.
            link.body.take();
            self.release(&link);
            return Err(error);
        }
        Ok(())
    }

    /// Forgets a connection that has ended.
    pub(crate) fn release(&self, link: &Link<A>) {
        link.end();
        let removed = {
            let mut links = self.links.lock();
            let key = slab_key(link.token);
            let is_its = links.slab.get(key).is_some_and(|other| other.token == link.token);
            is_its.then(|| links.slab.remove(key))
        };
        if removed.is_some() {
            self.load.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Signals `flags` to every connection.
    pub(crate) fn signal_all(&self, flags: Flags) {
        for link in self.all_links() {
            link.signal(flags);
        }
    }

    /// Cuts every connection off.
    pub(crate) fn shut_down_all(&self) {
        for link in self.all_links() {
            link.shut_down();
        }
    }

    /// Ends the poller's coroutine.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.set.wake();
    }

    fn all_links(&self) -> Vec<Arc<Link<A>>> {
        self.links.lock().slab.iter().map(|(_, link)| Arc::clone(link)).collect()
    }

    /// Does what [`Flags`] that were signalled demand: here, if this is the home worker, else through the poller.
    pub(crate) fn perform(&self, duty: Duty, link: &Arc<Link<A>>) {
        if self.is_at_home() {
            self.perform_here(duty, link);
        } else {
            self.perform_later(duty, link);
        }
    }

    /// Has the poller do it. From anywhere, also where no coroutine can be started.
    pub(crate) fn perform_later(&self, duty: Duty, link: &Arc<Link<A>>) {
        if duty == Duty::None {
            return;
        }
        self.requests.push((duty, Arc::clone(link)));
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.set.wake();
        }
    }

    /// Whether the caller is on its own worker.
    pub(crate) fn is_at_home(&self) -> bool {
        WorkerId::current() == Some(self.home)
    }

    fn perform_here(&self, duty: Duty, link: &Arc<Link<A>>) {
        match duty {
            Duty::None => {}
            Duty::Wake => link.wake_driver(),
            Duty::Start => link.poller.have_driven(iter::once(Arc::clone(link))),
        }
    }

    /// Does what has become ready. Connections that have ended together, and deadlines that have passed together, are told
    /// a few at a time, and between them others have their turn: `in_turn` holds those that are still to be told, and is
    /// empty afterwards.
    fn drain(self: &Arc<Self>, in_turn: &mut VecDeque<InTurn<A>>) {
        let (mut events, mut ready, mut due) = (Vec::new(), Ready::default(), Vec::new());
        let mut links: Vec<(Arc<Link<A>>, Flags)> = Vec::new();
        let mut starting = Vec::new();
        for look in 1.. {
            self.set.look(&mut events, &mut ready);
            {
                let known = self.links.lock();
                links.extend(ready.sockets.iter().filter_map(|&(token, flags)| {
                    let link = known.slab.get(slab_key(token)).filter(|link| link.token == token)?;
                    Some((Arc::clone(link), flags))
                }));
            }
            for (link, flags) in links.drain(..) {
                if flags.intersects(Flags::LEAVING) {
                    in_turn.push_back((link, flags));
                    continue;
                }
                // As `Link::signal` does, but for those that start: they are put into the line together.
                match link.state.signal(flags) {
                    Duty::Start => starting.push(link),
                    duty => self.perform_here(duty, &link),
                }
            }
            if !starting.is_empty() {
                self.have_driven(starting.drain(..));
            }
            if ready.woken {
                // In this order: what is pushed after the queue was found empty writes the eventfd again.
                self.woken.swap(false, Ordering::AcqRel);
                while let Some((duty, link)) = self.requests.pop() {
                    self.perform_here(duty, &link);
                }
            }
            if ready.ticked {
                self.tick(&mut due, in_turn);
            }
            // What the others have to say lies in the set behind what many ended connections have.
            if ready.more && look % LOOKS_IN_A_ROW != 0 {
                continue;
            }
            for (link, flags) in in_turn.drain(..in_turn.len().min(TOLD_AT_ONCE)) {
                link.signal(flags);
            }
            // What was ready when there were too many coroutines.
            let _ = self.send_runner_to_the_ready();
            if !ready.more && in_turn.is_empty() {
                in_turn.shrink_to(ROOM_KEPT);
                return;
            }
            time::yield_now();
        }
    }

    /// The connection that has this token.
    pub(crate) fn link(&self, token: u64) -> Option<Arc<Link<A>>> {
        self.links.lock().slab.get(slab_key(token)).filter(|link| link.token == token).cloned()
    }

    /// Milliseconds since the poller began; deadlines are told in them.
    pub(crate) fn now(&self) -> u64 {
        self.millis_at(Instant::now())
    }

    /// The same at `instant`, rounded down.
    pub(crate) fn millis_at(&self, instant: Instant) -> u64 {
        let since = instant.saturating_duration_since(self.epoch);
        since.as_secs() * 1_000 + u64::from(since.subsec_millis())
    }

    /// `instant` in the poller's milliseconds, rounded up.
    pub(crate) fn millis_of(&self, instant: Instant) -> u64 {
        let since = instant.saturating_duration_since(self.epoch);
        since.as_nanos().div_ceil(1_000_000).min(u128::from(NEVER - 1)) as u64
    }

    /// The tick in which `millis` has surely passed.
    pub(crate) fn tick_of(millis: u64) -> u64 {
        millis / TICK_MS + 1
    }

    /// Has `link` looked at once `deadline` has passed.
    pub(crate) fn remind(&self, link: &Link<A>, deadline: u64) {
        let mut wheel = self.wheel.lock();
        if wheel.is_empty() {
            // The wheel has stood still meanwhile.
            wheel.advance(self.now() / TICK_MS, &mut Vec::new());
            self.set.set_ticking(true);
        }
        Self::enter(&mut wheel, link, deadline);
    }

    fn enter(wheel: &mut Wheel<(u64, u64)>, link: &Link<A>, deadline: u64) {
        let promised = wheel.due_tick(Self::tick_of(deadline));
        wheel.insert(promised, (link.token, promised));
        link.reminder.store(ShortTick::of(promised), Ordering::SeqCst);
    }

    fn tick(&self, due: &mut Vec<(u64, u64)>, in_turn: &mut VecDeque<InTurn<A>>) {
        let now = self.now();
        {
            let mut wheel = self.wheel.lock();
            wheel.advance(now / TICK_MS, due);
            let links = self.links.lock();
            for (token, promised) in due.drain(..) {
                let Some(link) = links.slab.get(slab_key(token)).filter(|link| link.token == token) else {
                    continue;
                };
                // An earlier reminder has been entered since: this one is void.
                if link.reminder.load(Ordering::SeqCst) != ShortTick::of(promised) {
                    continue;
                }
                link.reminder.store(ShortTick::NEVER, Ordering::SeqCst);
                match link.deadline.load(Ordering::SeqCst) {
                    NEVER => {}
                    deadline if deadline <= now => in_turn.push_back((Arc::clone(link), Flags::TIMER)),
                    deadline => Self::enter(&mut wheel, link, deadline),
                }
            }
            if wheel.is_empty() {
                self.set.set_ticking(false);
            }
        }
        self.give_up_room();
    }

    /// For how many jobs and connections it has room without taking any more memory.
    #[cfg(test)]
    pub(crate) fn room(&self) -> (usize, usize) {
        (self.ready.room(), self.links.lock().slab.capacity())
    }

    /// A burst does not hold its memory for ever. As a rule a tick comes after the last connection has gone: the wheel still
    /// has its reminder.
    fn give_up_room(&self) {
        self.ready.shrink();
        self.buffers.trim();
        let mut links = self.links.lock();
        // Those that are there cannot be moved.
        if links.slab.is_empty() && links.slab.capacity() > ROOM_KEPT {
            links.slab = Slab::new();
        }
    }
}

fn slab_key(token: u64) -> usize {
    (token & 0xFFFF_FFFF) as usize
}

/// A duration in milliseconds, rounded up.
pub(crate) fn millis(duration: Duration) -> u64 {
    duration.as_nanos().div_ceil(1_000_000).min(u128::from(u32::MAX) * 1_000) as u64
}
