//! The public front: accepts connections and hands them to the workers' pollers.

use std::fs::File;
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use may::io::WaitIoWaker;
use rustix::io::Errno;
use rustix::net::{accept_with, acceptfrom_with, SocketFlags};

use super::app::App;
use super::connection::{FrontShared, Poller};
use super::listener::listen;
use super::options::NetOptions;
use super::poller::{Flags, Waitable};
use crate::runtime::watchdog::Watchdog;
use crate::runtime::{self, spawn, time};

/// What has happened at a front since it was started.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) accepted: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) rejected_requests: AtomicU64,
    pub(crate) failed_requests: AtomicU64,
    pub(crate) expired_requests: AtomicU64,
    pub(crate) upgrades: AtomicU64,
    /// Requests whose handler has not ended.
    pub(crate) in_flight: AtomicU64,
    /// Bytes taken of [`NetOptions::max_buffered_bytes`].
    pub(crate) buffered_bytes: AtomicU64,
    /// Connections that have a coroutine just now.
    pub(crate) driven: AtomicU64,
}

/// A front's figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrontStatus {
    /// Connections that are open.
    pub connections: u64,
    /// Of these, connections that have a coroutine just now, which drives them or answers their request; the others are
    /// parked.
    pub driven: u64,
    /// Connections accepted since the start, those that were refused among them.
    pub accepted: u64,
    /// Connections refused because there were too many.
    pub refused: u64,
    /// HTTP requests whose head was read, upgrades among them.
    pub requests: u64,
    /// HTTP requests that could not be read and were answered with 4xx or 5xx by the front itself.
    pub rejected_requests: u64,
    /// HTTP requests whose handler panicked, overflowed its stack or was cancelled.
    pub failed_requests: u64,
    /// HTTP requests that ran past their hard limit.
    pub expired_requests: u64,
    /// Connections that became WebSockets.
    pub upgrades: u64,
    /// HTTP requests whose handler has not ended, those among them that were answered with 504 before.
    pub in_flight: u64,
    /// Bytes of requests' bodies and large WebSocket messages that are held just now.
    pub buffered_bytes: u64,
}

/// The public front: listens, and starts serving an [`App`].
#[derive(Debug)]
pub struct Front;

/// A running front; a clone is the same one. Dropping it leaves it running: [`FrontHandle::shutdown`] ends it.
#[derive(Clone)]
pub struct FrontHandle {
    front: Arc<dyn Running>,
    local_addr: SocketAddr,
}

/// What a handle needs of a front, whatever application that serves.
trait Running: Send + Sync {
    fn counters(&self) -> &Counters;
    fn connections(&self) -> usize;
    /// Accepts no more; returns once the listening socket is closed, or at `deadline`: the acceptor's worker may be
    /// stalled.
    fn stop_accepting(&self, deadline: Instant);
    /// Has every connection end in order.
    fn close_connections(&self);
    /// Has every request that is still in flight answered with 503.
    fn cut_requests_off(&self);
    fn cut_connections_off(&self);
    fn stop_pollers(&self);
    /// The room that each poller has for jobs and for connections.
    #[cfg(test)]
    fn room(&self) -> Vec<(usize, usize)>;
}

struct RunningFront<A: App> {
    shared: Arc<FrontShared<A>>,
    pollers: Arc<[Arc<Poller<A>>]>,
    acceptor: Arc<Acceptor>,
}

struct Acceptor {
    stopping: AtomicBool,
    stopped: AtomicBool,
    waker: WaitIoWaker,
}

/// So many connections over the maximum are still read from, so that they can be told why they are refused.
const REFUSED_AT_ONCE: usize = 64;
/// So many connections are taken before the acceptor's worker runs others.
const TAKEN_IN_A_ROW: usize = 32;
/// The pause when the process has no file descriptor left.
const OUT_OF_DESCRIPTORS_PAUSE: Duration = Duration::from_millis(50);
/// How often a shutdown looks whether the connections have ended.
const DRAIN_CHECK: Duration = Duration::from_millis(10);
/// How long a connection that was cut off is waited for.
const CUT_OFF_GRACE: Duration = Duration::from_millis(500);

impl Front {
    /// Listens on `address` with what `options` say of it. Port 0 is any free port.
    ///
    /// # Errors
    /// The system's, with its kind: the port is taken, say.
    pub fn bind(address: SocketAddr, options: &NetOptions) -> io::Result<TcpListener> {
        listen(address, options.backlog)
    }

    /// Serves `app` on `listener`, with every HTTP request watched by `watchdog`.
    ///
    /// # Errors
    /// When the system gives no epoll set, or the listener's address can't be told.
    pub fn start<A: App>(
        listener: TcpListener,
        app: A,
        options: NetOptions,
        watchdog: Watchdog,
    ) -> io::Result<FrontHandle> {
        let local_addr = listener.local_addr()?;
        let shared = Arc::new(FrontShared {
            app,
            options,
            watchdog,
            counters: Counters::default(),
            closing: AtomicBool::new(false),
            cutting_off: AtomicBool::new(false),
        });
        let pollers = runtime::start(Default::default())
            .workers()
            .map(|worker| Poller::start(Arc::clone(&shared), worker))
            .collect::<io::Result<Arc<[_]>>>()?;
        let waitable = Waitable::new(listener)?;
        let acceptor = Arc::new(Acceptor {
            stopping: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            waker: waitable.waker(),
        });
        let accepting = Accepting {
            spare: File::open("/dev/null").ok(),
            waitable,
            shared: Arc::clone(&shared),
            pollers: Arc::clone(&pollers),
            acceptor: Arc::clone(&acceptor),
            next: 0,
        };
        spawn(move || accepting.run());
        Ok(FrontHandle { front: Arc::new(RunningFront { shared, pollers, acceptor }), local_addr })
    }
}

impl FrontHandle {
    /// Where it listens: the real port where 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.front.connections()
    }

    /// All figures.
    pub fn status(&self) -> FrontStatus {
        let counters = self.front.counters();
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        FrontStatus {
            connections: self.connections() as u64,
            driven: read(&counters.driven),
            accepted: read(&counters.accepted),
            refused: read(&counters.refused),
            requests: read(&counters.requests),
            rejected_requests: read(&counters.rejected_requests),
            failed_requests: read(&counters.failed_requests),
            expired_requests: read(&counters.expired_requests),
            upgrades: read(&counters.upgrades),
            in_flight: read(&counters.in_flight),
            buffered_bytes: read(&counters.buffered_bytes),
        }
    }

    /// Ends it in order: no new connections; WebSockets are closed with 1001; requests that are in flight are answered,
    /// and their connections closed. Returns `true` when all have ended, `false` when some had to be cut off at
    /// `deadline`: requests are then cancelled and answered with 503. Blocks the calling coroutine or thread.
    pub fn shutdown(&self, deadline: Instant) -> bool {
        self.front.stop_accepting(deadline);
        self.front.close_connections();
        let drained = self.wait_for_the_last(deadline);
        if !drained {
            self.front.cut_requests_off();
            // So long for the answers that say so.
            self.wait_for_the_last(Instant::now() + CUT_OFF_GRACE / 2);
            self.front.cut_connections_off();
            // A connection whose socket is shut down ends by itself, unless a request or an endpoint hangs in it.
            self.wait_for_the_last(Instant::now() + CUT_OFF_GRACE);
        }
        if self.connections() == 0 {
            self.front.stop_pollers();
        }
        drained
    }

    #[cfg(test)]
    pub(super) fn room(&self) -> Vec<(usize, usize)> {
        self.front.room()
    }

    fn wait_for_the_last(&self, deadline: Instant) -> bool {
        while self.connections() > 0 && Instant::now() < deadline {
            time::sleep(DRAIN_CHECK);
        }
        self.connections() == 0
    }
}

impl std::fmt::Debug for FrontHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FrontHandle").field("local_addr", &self.local_addr).finish_non_exhaustive()
    }
}

impl<A: App> Running for RunningFront<A> {
    fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    fn connections(&self) -> usize {
        self.pollers.iter().map(|poller| poller.load()).sum()
    }

    fn stop_accepting(&self, deadline: Instant) {
        self.acceptor.stopping.store(true, Ordering::Release);
        self.acceptor.waker.wakeup();
        while !self.acceptor.stopped.load(Ordering::Acquire) && Instant::now() < deadline {
            time::sleep(DRAIN_CHECK);
            self.acceptor.waker.wakeup();
        }
    }

    fn close_connections(&self) {
        self.shared.closing.store(true, Ordering::Release);
        for poller in self.pollers.iter() {
            poller.signal_all(Flags::SHUTDOWN);
        }
    }

    fn cut_requests_off(&self) {
        self.shared.cutting_off.store(true, Ordering::Release);
        for poller in self.pollers.iter() {
            poller.signal_all(Flags::SHUTDOWN);
        }
    }

    fn cut_connections_off(&self) {
        for poller in self.pollers.iter() {
            poller.shut_down_all();
        }
    }

    fn stop_pollers(&self) {
        for poller in self.pollers.iter() {
            poller.stop();
        }
    }

    #[cfg(test)]
    fn room(&self) -> Vec<(usize, usize)> {
        self.pollers.iter().map(|poller| poller.room()).collect()
    }
}

/// The coroutine that accepts.
struct Accepting<A: App> {
    waitable: Waitable<TcpListener>,
    shared: Arc<FrontShared<A>>,
    pollers: Arc<[Arc<Poller<A>>]>,
    acceptor: Arc<Acceptor>,
    /// Given up for a moment when there is no descriptor left, so that a connection can be accepted and
    /// closed instead of waiting for ever.
    spare: Option<File>,
    next: usize,
}

impl<A: App> Accepting<A> {
    fn run(mut self) {
        let mut taken = 0_usize;
        while !self.acceptor.stopping.load(Ordering::Acquire) {
            match acceptfrom_with(self.waitable.get(), SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok((socket, peer)) => {
                    self.take(TcpStream::from(socket), peer.and_then(|peer| peer.try_into().ok()));
                    taken += 1;
                    // Connections may come as fast as they are taken, and then this never waits.
                    if taken.is_multiple_of(TAKEN_IN_A_ROW) {
                        time::yield_now();
                    }
                }
                Err(Errno::AGAIN) => {
                    self.waitable.wait();
                }
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => self.turn_one_away(),
                // What went wrong was that one connection's.
                Err(_) => time::yield_now(),
            }
        }
        let acceptor = Arc::clone(&self.acceptor);
        // The socket is closed before it is said so.
        drop(self);
        acceptor.stopped.store(true, Ordering::Release);
    }

    fn take(&mut self, socket: TcpStream, peer: Option<SocketAddr>) {
        let counters = &self.shared.counters;
        counters.accepted.fetch_add(1, Ordering::Relaxed);
        let open: usize = self.pollers.iter().map(|poller| poller.load()).sum();
        let refused = open >= self.shared.options.max_connections;
        if refused {
            counters.refused.fetch_add(1, Ordering::Relaxed);
            if open >= self.shared.options.max_connections + REFUSED_AT_ONCE {
                refuse_at_once(&socket);
                return;
            }
        }
        let _ = socket.set_nodelay(true);
        if let Err(error) = self.choose().adopt(socket, peer, refused) {
            tracing::warn!("a connection could not be taken: {error}");
        }
    }

    /// The poller with the fewest connections; in turn among equals.
    fn choose(&mut self) -> Arc<Poller<A>> {
        self.next = (self.next + 1) % self.pollers.len();
        let (before, from) = self.pollers.split_at(self.next);
        let least = from.iter().chain(before).min_by_key(|poller| poller.load());
        Arc::clone(least.expect("a runtime has at least one worker"))
    }

    fn turn_one_away(&mut self) {
        self.shared.counters.refused.fetch_add(1, Ordering::Relaxed);
        tracing::warn!("no file descriptor is left: a connection is turned away");
        drop(self.spare.take());
        if let Ok(socket) = accept_with(self.waitable.get(), SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            refuse_at_once(&TcpStream::from(socket));
        }
        self.spare = File::open("/dev/null").ok();
        time::sleep(OUT_OF_DESCRIPTORS_PAUSE);
    }
}

/// Says 503 as far as that is possible without waiting.
fn refuse_at_once(mut socket: &TcpStream) {
    let _ = socket.write(
        b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    );
    let _ = socket.shutdown(Shutdown::Write);
}
