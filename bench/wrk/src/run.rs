//! A whole run: threads, the ramp, the measured time, the sum.

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::clock::{nanos, Clock, Nanos};
use crate::limits;
use crate::plan::{Mode, Plan};
use crate::totals::Totals;
use crate::worker::{work, Control, Task};
use crate::workload::Messages;

/// How often the threads are looked at.
const LOOK: Duration = Duration::from_millis(2);
/// From the decision to begin to the beginning: all threads know of it by then.
const LEAD: Nanos = 10_000_000;
/// Connections that aren't open by then are left out.
const LONGEST_RAMP: Duration = Duration::from_secs(60);

/// Ends a run early when it is set.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Sets it when the process is interrupted (Ctrl-C). A second time ends the process.
    ///
    /// # Errors
    /// The system's.
    pub fn at_ctrl_c() -> std::io::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register_conditional_shutdown(
            signal_hook::consts::SIGINT,
            130,
            Arc::clone(&flag),
        )?;
        signal_hook::flag::register(signal_hook::consts::SIGINT, Arc::clone(&flag))?;
        Ok(Self(flag))
    }

    /// Sets it.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why there is nothing to report.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The system allows less than the run needs.
    #[error("{0}")]
    Limits(String),
    /// The server can't be reached at all.
    #[error("unable to connect to {address}: {source}")]
    Unreachable {
        /// Where it was looked for.
        address: std::net::SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A thread could not do its work.
    #[error("{0}")]
    Thread(String),
    /// Not one connection could be opened.
    #[error("no connection could be opened: {0}")]
    NoneOpened(String),
}

/// What a run found.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was done.
    pub mode: Mode,
    /// The figures of all threads together.
    pub totals: Totals,
    /// The measured time; shorter than planned after an interrupt.
    pub elapsed: Duration,
    /// How long it took to open all connections.
    pub ramp: Duration,
    /// Whether it was interrupted.
    pub interrupted: bool,
    /// Resident bytes of the watched process: before the first connection, with all of them, and at the end, when those
    /// that were not lost are open still.
    pub resident: Option<[u64; 3]>,
    /// Seconds of processor time that the watched process used within the measured time.
    pub cpu_seconds: Option<f64>,
    /// The same of this process. About as much as there was time for its threads: the tool was the bottleneck.
    pub tool_cpu_seconds: f64,
}

impl Outcome {
    /// Whether all that was answered was right and a success, and something was.
    pub fn is_right(&self) -> bool {
        let totals = &self.totals;
        let bad = totals.wrong() + totals.bad_statuses + totals.refused;
        bad == 0 && (self.has_done_something() || self.interrupted)
    }

    /// Whether there was one of what the run is about: an answer, a connection that had its answer and was held to the end,
    /// a handshake. What was given up has a latency, too, so latencies don't tell.
    fn has_done_something(&self) -> bool {
        let totals = &self.totals;
        // an open loop's may come after the end, and those of held connections come before the beginning
        let answered = totals.answers + totals.since_sent.count() > 0;
        match self.mode {
            Mode::Stream => answered,
            Mode::Hold => answered && totals.open_at_end > 0,
            Mode::Handshakes | Mode::AtOnce => totals.handshakes.count() > 0,
        }
    }
}

/// Runs `plan`. `began` is called when all connections are open.
///
/// # Errors
/// See [`RunError`].
pub fn run(plan: &Plan, interrupt: &Interrupt, began: &dyn Fn(&Plan, Duration)) -> Result<Outcome, RunError> {
    limits::make_room_for(plan.connections).map_err(RunError::Limits)?;
    let unreachable = |source| RunError::Unreachable { address: plan.address, source };
    drop(TcpStream::connect_timeout(&plan.address, plan.timeout).map_err(unreachable)?);
    let messages = Messages::of(plan.work).map_err(RunError::Thread)?;
    let resident = || plan.watched.and_then(limits::resident_bytes);
    let before = resident();
    if let (Some(pid), None) = (plan.watched, before) {
        return Err(RunError::Limits(format!("--watch {pid}: there is no such process")));
    }

    let control = Control::default();
    let clock = Clock::start();
    let conduct = |interrupt: &Interrupt| {
        let (ramp, go_at) = ramp(plan, &control, clock, interrupt);
        let with_all = resident();
        began(plan, ramp);
        let begin = go_at + nanos(plan.warm_up);
        let cpu = || plan.watched.and_then(limits::cpu_seconds);
        let cpu = || (cpu(), limits::own_cpu_seconds());
        let (mut cpu_at_begin, mut cpu_at_end) = (None, None);
        while control.over.load(Ordering::Acquire) < plan.threads {
            if interrupt.is_set() {
                control.stop.store(true, Ordering::Relaxed);
            }
            let since = clock.now().checked_sub(begin);
            if since.is_some() && cpu_at_begin.is_none() {
                cpu_at_begin = Some(cpu());
            }
            // not what comes after the end: an open loop waits for its last answers
            if cpu_at_end.is_none() && since.is_some_and(|since| since >= nanos(plan.duration)) {
                cpu_at_end = Some(cpu());
            }
            thread::sleep(LOOK);
        }
        let (end, begin_cpu) = (cpu_at_end.unwrap_or_else(cpu), cpu_at_begin.unwrap_or_else(cpu));
        let used = (end.0.zip(begin_cpu.0).map(|(end, begin)| end - begin), (end.1 - begin_cpu.1).max(0.0));
        let length = clock.now().saturating_sub(begin).min(nanos(plan.duration));
        let resident = before.zip(with_all).zip(resident());
        control.leave.store(true, Ordering::Release);
        (ramp, Duration::from_nanos(length), resident, used)
    };
    let (shares, (ramp, elapsed, resident, (cpu_seconds, tool_cpu_seconds))) = thread::scope(|scope| {
        let spawn = |thread| {
            let task = Task { plan, messages: &messages, control: &control, clock, thread };
            scope.spawn(move || work(&task))
        };
        let threads: Vec<_> = (0..plan.threads).map(spawn).collect();
        let conducted = conduct(interrupt);
        let join = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|_| Err("a thread panicked".to_owned()))
        };
        (threads.into_iter().map(join).collect::<Vec<_>>(), conducted)
    });

    let mut totals = Totals::default();
    for share in shares {
        totals.add(share.map_err(RunError::Thread)?);
    }
    let opened = totals.open > 0 || totals.handshakes.count() > 0 || totals.answers > 0;
    if !opened && !interrupt.is_set() {
        return Err(RunError::NoneOpened(
            totals.first_problem.unwrap_or_else(|| "nothing was answered".into()),
        ));
    }
    let resident = resident.map(|((before, with_all), end)| [before, with_all, end]);
    let interrupted = interrupt.is_set();
    Ok(Outcome {
        mode: plan.mode,
        totals,
        elapsed,
        ramp,
        interrupted,
        resident,
        cpu_seconds,
        tool_cpu_seconds,
    })
}

/// Has the connections opened, and says when the run begins: how long that took, and the time.
fn ramp(plan: &Plan, control: &Control, clock: Clock, interrupt: &Interrupt) -> (Duration, Nanos) {
    while control.built.load(Ordering::Acquire) < plan.threads {
        thread::sleep(LOOK);
    }
    let begin = clock.now();
    if matches!(plan.mode, Mode::Handshakes | Mode::AtOnce) {
        // opening is what is measured
        let go_at = begin + LEAD;
        control.go_at.store(go_at, Ordering::Release);
        thread::sleep(Duration::from_nanos(LEAD));
        control.opens.store(true, Ordering::Release);
        return (Duration::ZERO, go_at);
    }
    control.opens.store(true, Ordering::Release);
    let over = || {
        let all = control.settled.load(Ordering::Relaxed) >= plan.connections;
        let ended = control.over.load(Ordering::Relaxed) > 0;
        let late = clock.now() - begin > nanos(LONGEST_RAMP);
        // a server that takes nobody: more tries would not help
        let hopeless = control.settled.load(Ordering::Relaxed) == 0
            && control.failed.load(Ordering::Relaxed) > 3 * plan.connections.min(1_000);
        all || ended || late || hopeless || interrupt.is_set()
    };
    while !over() {
        thread::sleep(LOOK);
    }
    let ramp = clock.now() - begin;
    let go_at = clock.now() + LEAD;
    control.go_at.store(go_at, Ordering::Release);
    (Duration::from_nanos(ramp), go_at)
}
