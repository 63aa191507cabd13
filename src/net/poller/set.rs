//! The epoll set with its eventfd and timerfd.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use may::io::{CoIo, WaitIo, WaitIoWaker};
use rustix::event::{epoll, eventfd, EventfdFlags};
use rustix::fs::Timespec;
use rustix::time::{
    timerfd_create, timerfd_settime, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags,
};

use super::Flags;
use crate::runtime::{time, WorkerId};

/// The timer wheel's step in milliseconds.
pub(crate) const TICK_MS: u64 = 125;

const WAKE: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;
const EVENTS_AT_ONCE: usize = 128;

/// What one look at the set found.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    /// Sockets by their token, and what has happened to them.
    pub(crate) sockets: Vec<(u64, Flags)>,
    /// Somebody called [`EpollSet::wake`].
    pub(crate) woken: bool,
    /// The timer ticked.
    pub(crate) ticked: bool,
    /// There may be more: look again.
    pub(crate) more: bool,
}

/// An epoll set that a coroutine can wait for.
#[derive(Debug)]
pub(crate) struct EpollSet {
    epoll: OwnedFd,
    wake: OwnedFd,
    timer: OwnedFd,
}

impl EpollSet {
    pub(crate) fn new() -> io::Result<EpollSet> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        let once = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, &wake, epoll::EventData::new_u64(WAKE), once)?;
        epoll::add(&epoll, &timer, epoll::EventData::new_u64(TIMER), once)?;
        Ok(EpollSet { epoll, wake, timer })
    }

    /// Enters a socket for its whole life: closing it takes it out. `token` comes back with its events.
    pub(crate) fn add(&self, socket: impl AsFd, token: u64) -> io::Result<()> {
        debug_assert!(token < TIMER);
        let events =
            epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        Ok(epoll::add(&self.epoll, socket, epoll::EventData::new_u64(token), events)?)
    }

    /// Makes the set ready, from any thread.
    pub(crate) fn wake(&self) {
        // It fails only when the counter is full, and then the set is ready already.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    /// Has the timer tick every [`TICK_MS`], or not at all.
    pub(crate) fn set_ticking(&self, ticking: bool) {
        let nanos = if ticking { TICK_MS as i64 * 1_000_000 } else { 0 };
        let period = Timespec { tv_sec: nanos / 1_000_000_000, tv_nsec: nanos % 1_000_000_000 };
        let setting = Itimerspec { it_interval: period, it_value: period };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &setting).expect("a valid period");
    }

    /// Puts into `ready` what has happened since the last look. Does not wait.
    pub(crate) fn look(&self, events: &mut Vec<epoll::Event>, ready: &mut Ready) {
        events.clear();
        events.reserve(EVENTS_AT_ONCE);
        ready.sockets.clear();
        (ready.woken, ready.ticked) = (false, false);
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        // It can fail with EINTR only.
        let found = epoll::wait(&self.epoll, rustix::buffer::spare_capacity(events), Some(&zero));
        ready.more = found.map_or(true, |count| count >= EVENTS_AT_ONCE);
        for event in events.iter() {
            let (data, flags) = (event.data, event.flags);
            match data.u64() {
                WAKE => {
                    ready.woken = true;
                    drain(&self.wake);
                }
                TIMER => {
                    ready.ticked = true;
                    drain(&self.timer);
                }
                token => ready.sockets.push((token, flags_of(flags))),
            }
        }
    }

    /// Something a coroutine of `worker` can wait on until the set is ready.
    pub(crate) fn waitable_on(&self, worker: WorkerId) -> io::Result<Waitable> {
        // may hands a descriptor to the worker that is its remainder by the number of workers.
        let workers = may::config().get_workers();
        let mut from = 0;
        loop {
            let descriptor = rustix::io::fcntl_dupfd_cloexec(&self.epoll, from)?;
            let number = descriptor.as_raw_fd();
            if number as usize % workers == worker.index() {
                return Waitable::new(descriptor);
            }
            from = number + 1;
        }
    }
}

/// A descriptor that coroutines can wait on.
///
/// `CoIo` closes what it holds before it takes it out of may's epoll set. Then the number may be somebody else's already;
/// and a duplicate, whose original lives on, would stay in the set, and its next event would reach freed memory.
/// So what it holds here is shared, and closed after it.
#[derive(Debug)]
pub(crate) struct Waitable<T: AsRawFd = OwnedFd> {
    io: CoIo<Held<T>>,
    held: Arc<T>,
}

impl<T: AsRawFd> Waitable<T> {
    /// Makes `descriptor` one to be waited on; it becomes non-blocking.
    pub(crate) fn new(descriptor: T) -> io::Result<Waitable<T>> {
        let held = Arc::new(descriptor);
        let io = CoIo::new(Held(Arc::clone(&held)))?;
        Ok(Waitable { io, held })
    }

    /// Waits until something has happened since the last look.
    pub(crate) fn wait(&self) {
        time::told_to_the_worker(|| self.io.wait_io());
        time::sockets_were_seen();
    }

    /// Wakes the one that waits, from anywhere.
    pub(crate) fn waker(&self) -> WaitIoWaker {
        self.io.waker()
    }

    /// What is waited on.
    pub(crate) fn get(&self) -> &T {
        &self.held
    }
}

#[derive(Debug)]
struct Held<T>(Arc<T>);

impl<T: AsRawFd> AsRawFd for Held<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

fn drain(descriptor: &OwnedFd) {
    let mut count = [0_u8; 8];
    let _ = rustix::io::read(descriptor, &mut count);
}

fn flags_of(events: epoll::EventFlags) -> Flags {
    let mut flags = Flags::NONE;
    for (event, flag) in [
        (epoll::EventFlags::IN, Flags::READ),
        (epoll::EventFlags::OUT, Flags::WRITE),
        (epoll::EventFlags::RDHUP, Flags::READ | Flags::READ_CLOSED),
        (epoll::EventFlags::HUP, Flags::READ | Flags::READ_CLOSED | Flags::BROKEN),
        (epoll::EventFlags::ERR, Flags::READ | Flags::READ_CLOSED | Flags::BROKEN),
    ] {
        if events.contains(event) {
            flags = flags | flag;
        }
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// How many epoll sets of this process watch the file with this inode, whatever number it has there.
    fn watchers_of(inode: u64) -> usize {
        let wanted = format!("ino:{inode:x}");
        let infos = fs::read_dir("/proc/self/fdinfo").unwrap().filter_map(|entry| {
            // Other tests close theirs meanwhile.
            fs::read_to_string(entry.ok()?.path()).ok()
        });
        infos.filter(|info| info.split_whitespace().any(|word| word == wanted)).count()
    }

    #[test]
    fn what_was_waited_on_is_watched_no_more_although_its_original_lives_on() {
        use std::os::unix::fs::MetadataExt;

        crate::runtime::start(Default::default());
        let original = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let descriptor = OwnedFd::from(original.try_clone().unwrap());
        let inode = fs::metadata(format!("/proc/self/fd/{}", original.as_raw_fd())).unwrap().ino();
        let waitable = Waitable::new(descriptor).unwrap();
        assert_eq!(watchers_of(inode), 1);
        drop(waitable);
        assert_eq!(watchers_of(inode), 0);
    }
}
