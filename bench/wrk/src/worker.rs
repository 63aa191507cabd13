//! One thread: its connections, its schedule, and the loop that drives them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::clock::{nanos, Clock, Nanos};
use crate::connection::{Connection, Shared};
use crate::plan::{Mode, Plan, Work};
use crate::poller::Poller;
use crate::schedule::Schedule;
use crate::totals::Totals;
use crate::wire::{http, websocket};
use crate::workload::Messages;

/// How often rates are sampled, and connections that take too long to open looked for.
const TICK: Nanos = 100_000_000;
/// How often a thread whose run is over looks whether it may close its connections.
const LEAVING_LOOK: Duration = Duration::from_millis(1);
/// How often a thread that waits for the others looks whether they are ready.
const WAITING_TICK: Nanos = 2_000_000;
/// How long an open loop waits for answers after its end, at most.
const LONGEST_DRAIN: Nanos = 5_000_000_000;
/// Connections that are begun before events are looked at again: answers of the earlier ones must not wait in the tool
/// until the last one is begun, for that would count as the server's latency.
const OPENED_AT_A_TIME: usize = 16;
/// Bytes read at a time.
const READ_BYTES: usize = 64 * 1024;

/// By which the threads and the one that started them understand each other.
#[derive(Debug, Default)]
pub(crate) struct Control {
    /// Threads that have built what they need.
    pub(crate) built: AtomicUsize,
    /// Whether connections may be opened.
    pub(crate) opens: AtomicBool,
    /// Connections that have got where the run begins.
    pub(crate) settled: AtomicUsize,
    /// Connection attempts that failed.
    pub(crate) failed: AtomicUsize,
    /// When the run begins; 0 while that is not known.
    pub(crate) go_at: AtomicU64,
    /// Whether it ends now.
    pub(crate) stop: AtomicBool,
    /// Threads whose run is over; their connections are still open.
    pub(crate) over: AtomicUsize,
    /// Whether connections may be closed: what they cost the watched process has been looked at.
    pub(crate) leave: AtomicBool,
}

/// What a thread is given.
pub(crate) struct Task<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) messages: &'a Messages,
    pub(crate) control: &'a Control,
    pub(crate) clock: Clock,
    pub(crate) thread: usize,
}

/// Runs one thread's share of the plan, to the end.
///
/// # Errors
/// A sentence, if the system refuses what the thread needs to begin.
pub(crate) fn work(task: &Task<'_>) -> Result<Totals, String> {
    let worker = Worker::new(task);
    task.control.built.fetch_add(1, Ordering::Release);
    let worker = worker.and_then(Worker::run);
    task.control.over.fetch_add(1, Ordering::Release);
    while !task.control.leave.load(Ordering::Acquire) {
        thread::sleep(LEAVING_LOOK);
    }
    worker.map(|worker| worker.shared.totals)
}

struct Worker<'a> {
    shared: Shared<'a>,
    control: &'a Control,
    connections: Vec<Connection>,
    events: crate::poller::Events,
    buffer: Vec<u8>,
    clients: std::ops::Range<usize>,
    ramp: usize,
    next_tick: Nanos,
    next_look: Nanos,
    /// Answers and time at the last sample of the rate.
    last_sample: (u64, Nanos),
    /// What of `settled` and of failed connects has been told to the others.
    told: (usize, usize),
}

impl<'a> Worker<'a> {
    fn new(task: &Task<'a>) -> Result<Self, String> {
        let plan = task.plan;
        let (poller, events) =
            Poller::new(plan.busy_poll).map_err(|error| format!("an epoll set: {error}"))?;
        let request = match plan.work {
            Work::Http => {
                let close = plan.mode == Mode::Handshakes;
                http::request(&plan.target.path, &plan.host, &plan.headers, close)
            }
            _ => websocket::upgrade_request(&plan.target.path, &plan.host, &plan.headers),
        };
        let clients = plan.clients_of(task.thread);
        let shared = Shared {
            plan,
            messages: task.messages,
            clock: task.clock,
            poller,
            totals: Totals::default(),
            request,
            outgoing: Vec::new(),
            window: None,
            sending: false,
            schedule: None,
            under_way: 0,
            settled: 0,
            closed: VecDeque::with_capacity(clients.len()),
            in_flight: 0,
            mask: 0x9E37_79B9_7F4A_7C15 ^ (task.thread as u64 + 1),
        };
        let connections = clients.clone().enumerate();
        let connections = connections.map(|(place, client)| Connection::new(client, place, &shared));
        let connections = connections.collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            connections,
            control: task.control,
            events,
            buffer: vec![0; READ_BYTES],
            ramp: plan.ramp_of(clients.len()),
            clients,
            next_tick: 0,
            next_look: 0,
            last_sample: (0, 0),
            told: (0, 0),
            shared,
        })
    }

    /// To the end of the run; its connections are open still.
    fn run(mut self) -> Result<Self, String> {
        self.shared.closed.extend((0..self.connections.len()).map(|place| (place, 0)));
        let mut go_at = None;
        loop {
            let now = self.shared.clock.now();
            if self.control.stop.load(Ordering::Relaxed) {
                break;
            }
            if go_at.is_none() {
                go_at = Some(self.control.go_at.load(Ordering::Acquire)).filter(|&at| at > 0);
                if let Some(at) = go_at {
                    self.prepare(at);
                }
            }
            if !self.shared.sending && go_at.is_some_and(|at| now >= at) {
                self.begin(now);
            }
            if self.is_over(now) {
                break;
            }
            self.open_some(now);
            self.send_what_is_due(now);
            self.tick(now);
            let wake_at = self.wake_at(now, go_at);
            let polled = self.shared.poller.wait(&mut self.events, now, wake_at);
            polled.map_err(|error| format!("waiting for sockets: {error}"))?;
            self.handle_events();
        }
        self.end();
        Ok(self)
    }

    /// The time of the run is known.
    fn prepare(&mut self, at: Nanos) {
        let plan = self.shared.plan;
        let begin = at + nanos(plan.warm_up);
        self.shared.window = Some((begin, begin.saturating_add(nanos(plan.duration))));
        self.last_sample = (0, begin);
        if let Some(rate) = plan.rate {
            let share = rate * self.clients.len() as f64 / plan.connections as f64;
            // threads begin one after the other within an interval, so that not all send at once
            let offset = 1e9 / rate * self.clients.start as f64 / self.clients.len().max(1) as f64;
            self.shared.schedule = Some(Schedule::new(at + offset as u64, share, self.clients.len()));
        }
    }

    /// Now it begins.
    fn begin(&mut self, now: Nanos) {
        self.shared.sending = true;
        self.shared.totals.open =
            self.connections.iter().filter(|connection| connection.is_open()).count() as u64;
        if self.shared.plan.mode == Mode::Stream && self.shared.schedule.is_none() {
            for connection in &mut self.connections {
                connection.send_what_may_go(now, &mut self.shared);
            }
        }
    }

    fn is_over(&self, now: Nanos) -> bool {
        let Some((_, end)) = self.shared.window else { return false };
        if self.shared.plan.mode == Mode::AtOnce
            && self.connections.iter().all(|one| one.is_done() || one.is_settled())
        {
            return true;
        }
        if now < end {
            return false;
        }
        let drained = || {
            // a thread that was held up at the end has messages to send still that were due before it
            let taken = self.shared.schedule.as_ref().is_none_or(|schedule| schedule.next_due() >= end);
            let idle = self.shared.in_flight == 0;
            taken && idle && !self.connections.iter().any(|connection| connection.has_backlog(&self.shared))
        };
        let longest = nanos(self.shared.plan.timeout).min(LONGEST_DRAIN);
        self.shared.schedule.is_none() || now >= end + longest || drained()
    }

    /// Opens some of what is closed, as long as not too many are under way.
    fn open_some(&mut self, now: Nanos) {
        if !self.control.opens.load(Ordering::Acquire) {
            return;
        }
        for _ in 0..OPENED_AT_A_TIME {
            match self.shared.closed.front() {
                Some(&(place, at)) if at <= now && self.may_open_another() => {
                    self.shared.closed.pop_front();
                    self.connections[place].open(&mut self.shared);
                }
                _ => break,
            }
        }
    }

    fn may_open_another(&self) -> bool {
        // one that is to be held is on its way until its message is answered: a server may have to let it wait
        let waiting = if self.shared.plan.mode == Mode::Hold { self.shared.in_flight } else { 0 };
        self.shared.under_way + waiting < self.ramp
    }

    fn send_what_is_due(&mut self, now: Nanos) {
        let Some((_, end)) = self.shared.window else { return };
        while self.shared.sending {
            let Some(schedule) = &mut self.shared.schedule else { return };
            if schedule.next_due() >= end {
                return;
            }
            let Some(slot) = schedule.take_due(now) else { return };
            let now = self.shared.clock.now();
            if self.shared.measures(slot.due) {
                self.shared.totals.tool_late.record(now.saturating_sub(slot.due));
            }
            self.connections[slot.connection].send_what_may_go(now, &mut self.shared);
        }
    }

    fn tick(&mut self, now: Nanos) {
        let settled = self.shared.settled - self.told.0;
        if settled > 0 {
            self.control.settled.fetch_add(settled, Ordering::Relaxed);
            self.told.0 = self.shared.settled;
        }
        if now < self.next_tick {
            return;
        }
        self.next_tick = now + TICK;
        let failed = self.shared.totals.count(crate::totals::Problem::Connect) as usize;
        self.control.failed.fetch_add(failed - self.told.1, Ordering::Relaxed);
        self.told.1 = failed;
        if self.shared.measures(now) && now > self.last_sample.1 {
            let (answers, since) = self.last_sample;
            let seconds = (now - since) as f64 / 1e9;
            // the first may be short
            if now - since >= TICK / 2 {
                self.shared.totals.rates.push((self.shared.totals.answers - answers) as f64 / seconds);
                self.last_sample = (self.shared.totals.answers, now);
            }
        }
        let timeout = nanos(self.shared.plan.timeout);
        if now >= self.next_look {
            self.next_look = now + (timeout / 8).clamp(TICK, 10 * TICK);
            for connection in &mut self.connections {
                connection.look_at_the_clock(now, timeout, &mut self.shared);
            }
        }
    }

    fn wake_at(&self, now: Nanos, go_at: Option<Nanos>) -> Nanos {
        let mut wake_at = self.next_tick;
        if !self.shared.sending {
            wake_at = wake_at.min(go_at.unwrap_or(now + WAITING_TICK));
        }
        if let Some((_, end)) = self.shared.window {
            if now < end {
                wake_at = wake_at.min(end);
            } else {
                wake_at = wake_at.min(now + WAITING_TICK);
            }
        }
        if let Some(schedule) = &self.shared.schedule {
            let due = schedule.next_due();
            if self.shared.window.is_some_and(|(_, end)| due < end) {
                wake_at = wake_at.min(due);
            }
        }
        match self.shared.closed.front() {
            Some(_) if !self.control.opens.load(Ordering::Relaxed) => wake_at.min(now + WAITING_TICK),
            Some(&(_, at)) if self.may_open_another() => wake_at.min(at),
            _ => wake_at,
        }
    }

    fn handle_events(&mut self) {
        for ready in Poller::ready(&self.events) {
            let (place, generation) = Connection::of_token(ready.token);
            self.connections[place].ready(generation, ready, &mut self.buffer, &mut self.shared);
        }
    }

    /// Counts what the end of the run finds.
    fn end(&mut self) {
        if self.control.stop.load(Ordering::Relaxed) {
            // what would have been due later was not asked for
            let now = self.shared.clock.now();
            self.shared.window = self.shared.window.map(|(begin, end)| (begin, end.min(now)));
        }
        self.shared.totals.open_at_end =
            self.connections.iter().filter(|connection| connection.is_open()).count() as u64;
        for connection in &mut self.connections {
            connection.give_up_all(&mut self.shared);
        }
        self.shared.totals.per_connection = self.connections.iter().map(Connection::measured).collect();
    }
}
