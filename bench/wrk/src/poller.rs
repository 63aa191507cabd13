//! What a thread waits for: its sockets, and the time. An epoll set with a timer that is exact to microseconds, where
//! epoll's own time-out is rounded up to a millisecond.

use std::io;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::{AsFd, OwnedFd};
use rustix::time::{
    timerfd_create, timerfd_settime, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec,
};

use crate::clock::Nanos;

/// The timer's own token; sockets have others.
const TIMER: u64 = u64::MAX;
const MOST_EVENTS: usize = 1024;

pub(crate) struct Poller {
    epoll: OwnedFd,
    timer: OwnedFd,
    /// Whether a wait never sleeps.
    busy: bool,
    /// What the timer is set to.
    wakes_at: Option<Nanos>,
}

/// Events of one wait; keeps its memory.
pub(crate) type Events = Vec<epoll::Event>;

/// What happened to a socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    pub(crate) token: u64,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// Its other end is closed, or it broke.
    pub(crate) hung_up: bool,
}

impl Poller {
    pub(crate) fn new(busy: bool) -> io::Result<(Self, Events)> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        // edge-triggered, so it need not be read: setting it again is enough
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN | EventFlags::ET)?;
        Ok((Self { epoll, timer, busy, wakes_at: None }, Vec::with_capacity(MOST_EVENTS)))
    }

    /// Watches `socket` until it is closed. Edges: each readiness is told once.
    pub(crate) fn watch(&self, socket: impl AsFd, token: u64) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(&self.epoll, socket, EventData::new_u64(token), flags)?)
    }

    /// Waits until a socket is ready, or it is `wake_at`; a busy one only looks whether one is.
    pub(crate) fn wait(&mut self, events: &mut Events, now: Nanos, wake_at: Nanos) -> io::Result<()> {
        events.clear();
        let left = wake_at.saturating_sub(now);
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let at_all = left > 0 && !self.busy;
        if at_all && self.wakes_at != Some(wake_at) {
            let it_value =
                Timespec { tv_sec: (left / 1_000_000_000) as i64, tv_nsec: (left % 1_000_000_000) as i64 };
            timerfd_settime(
                &self.timer,
                TimerfdTimerFlags::empty(),
                &Itimerspec { it_interval: at_once, it_value },
            )?;
            self.wakes_at = Some(wake_at);
        }
        match epoll::wait(&self.epoll, spare_capacity(events), (!at_all).then_some(&at_once)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// The sockets of `events` that something happened to.
    pub(crate) fn ready(events: &Events) -> impl Iterator<Item = Ready> + '_ {
        events.iter().filter(|event| event.data.u64() != TIMER).map(|event| {
            let flags = event.flags;
            let broken = flags.intersects(EventFlags::ERR | EventFlags::HUP);
            Ready {
                token: event.data.u64(),
                readable: broken || flags.intersects(EventFlags::IN | EventFlags::RDHUP),
                writable: broken || flags.contains(EventFlags::OUT),
                hung_up: broken || flags.contains(EventFlags::RDHUP),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::clock::Clock;

    #[test]
    fn a_wait_ends_when_a_socket_is_ready_or_the_time_has_come() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (far, _) = listener.accept().unwrap();
        let (mut poller, mut events) = Poller::new(false).unwrap();
        poller.watch(&far, 7).unwrap();
        let clock = Clock::start();
        let distant = 3_600_000_000_000;

        near.write_all(b"x").unwrap();
        let readable = |poller: &mut Poller, events: &mut Events, wake_at| {
            poller.wait(events, clock.now(), wake_at).unwrap();
            Poller::ready(events).find(|ready| ready.readable).map(|ready| ready.token)
        };
        // the first edge may be that it can be written
        assert!((0..3).any(|_| readable(&mut poller, &mut events, distant) == Some(7)));
        let wake_at = clock.now() + 2_000_000;
        while clock.now() < wake_at {
            assert_eq!(readable(&mut poller, &mut events, wake_at), None, "an edge is told once");
        }
        drop(near);
        poller.wait(&mut events, clock.now(), distant).unwrap();
        assert!(Poller::ready(&events).any(|ready| ready.token == 7 && ready.hung_up));
    }
}
