//! Logs: one line an event, on the standard error stream.
//!
//! Two things about a coroutine forbid what a thread would do. Its stack has 32 KiB, and formatting a line
//! takes a good part of that; so it is done on the worker's deep stack ([`deep_stack`]). And writing to
//! a terminal or a full pipe blocks the thread, with every coroutine on it; so a thread of its own
//! writes. The queue to it is bounded: when whoever reads the log is too slow, lines are dropped and counted,
//! and the count is logged.
//!
//! ```text
//!   tracing event ──► level ──► deep stack: format ──► bounded queue ──► the log's thread ──► stderr
//! ```

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam::channel::{self, Receiver, Sender};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::Layer;

use crate::config::{LogFormat, LogLevel};
use crate::runtime::deep_stack;

/// Lines that may wait for the log's thread: some megabytes at worst.
const QUEUE: usize = 8_192;

/// How long the end of the program waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Starts the process's log. Keep what it returns until the end of the program: dropping it writes what is
/// still queued.
///
/// # Errors
///
/// When the process has a log already, or the system gives no thread.
pub fn init(level: LogLevel, format: LogFormat) -> io::Result<Logs> {
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let (logs, lines) = start_writer(io::stderr())?;
    let subscriber = subscriber(level, format, colours, lines);
    tracing::subscriber::set_global_default(subscriber).map_err(io::Error::other)?;
    Ok(logs)
}

/// The running log.
#[derive(Debug)]
pub struct Logs {
    queue: Sender<Item>,
    dropped: Arc<AtomicU64>,
}

impl Logs {
    /// How many lines were dropped because the log was not read fast enough.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        let (done, written) = channel::bounded(1);
        if self.queue.send_timeout(Item::Flush(done), LAST_LINES).is_ok() {
            let _ = written.recv_timeout(LAST_LINES);
        }
    }
}

enum Item {
    Line(Box<[u8]>),
    /// Answered once everything before it is written.
    Flush(Sender<()>),
}

fn subscriber(
    level: LogLevel,
    format: LogFormat,
    colours: bool,
    lines: Lines,
) -> impl Subscriber + Send + Sync {
    let plain = tracing_subscriber::fmt::layer().with_writer(lines).with_target(false);
    let layer = match format {
        LogFormat::Text => plain.with_ansi(colours).boxed(),
        LogFormat::Json => plain.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(filter(level)).with(OnDeepStack(layer))
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// A layer that does its work on the deep stack.
struct OnDeepStack<L>(L);

impl<S, L> Layer<S> for OnDeepStack<L>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    L: Layer<S>,
{
    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        self.0.enabled(metadata, context)
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        deep_stack::run(|| self.0.on_event(event, context));
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        deep_stack::run(|| self.0.on_new_span(attributes, id, context));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        deep_stack::run(|| self.0.on_record(id, values, context));
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        deep_stack::run(|| self.0.on_close(id, context));
    }
}

/// Where formatted lines go.
#[derive(Clone)]
struct Lines {
    queue: Sender<Item>,
    dropped: Arc<AtomicU64>,
}

impl MakeWriter<'_> for Lines {
    type Writer = Lines;

    fn make_writer(&self) -> Lines {
        self.clone()
    }
}

/// The layer hands over a whole line in one write.
impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // Never waits: a coroutine must not block its worker.
        if self.queue.try_send(Item::Line(line.into())).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn start_writer(output: impl Write + Send + 'static) -> io::Result<(Logs, Lines)> {
    let (queue, items) = channel::bounded(QUEUE);
    let dropped = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&dropped);
    thread::Builder::new().name("log".into()).spawn(move || write_lines(&items, &count, output))?;
    let lines = Lines { queue: queue.clone(), dropped: Arc::clone(&dropped) };
    Ok((Logs { queue, dropped }, lines))
}

fn write_lines(items: &Receiver<Item>, dropped: &AtomicU64, mut output: impl Write) {
    let mut told = 0;
    for item in items {
        // Nobody is left to tell when the log itself can't be written.
        match item {
            Item::Line(line) => {
                let _ = output.write_all(&line);
            }
            Item::Flush(done) => {
                let _ = output.flush();
                let _ = done.send(());
            }
        }
        let total = dropped.load(Ordering::Relaxed);
        if total > told {
            let _ =
                writeln!(output, "{} log lines were dropped: the log is not read fast enough", total - told);
            told = total;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use parking_lot::Mutex;
    use serde_json::Value;

    use super::*;
    use crate::runtime;

    /// What was written, readable while the log runs.
    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Page {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().clone()).unwrap()
        }
    }

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: LogLevel, format: LogFormat, events: impl FnOnce()) -> String {
        let page = Page::default();
        let (logs, lines) = start_writer(page.clone()).unwrap();
        tracing::subscriber::with_default(subscriber(level, format, false, lines), events);
        drop(logs);
        page.text()
    }

    #[test]
    fn an_event_is_one_line_with_its_level_message_and_fields() {
        let text = logged(LogLevel::Info, LogFormat::Text, || {
            tracing::warn!(worker = 3, "work takes long");
            tracing::debug!("too fine");
        });
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("WARN work takes long worker=3"), "{text}");
    }

    #[test]
    fn json_lines_are_objects() {
        let text = logged(LogLevel::Trace, LogFormat::Json, || {
            tracing::info!(address = "127.0.0.1:9501", "listening \"here\"\n");
            tracing::trace!(count = 7, "fine");
        });
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["message"], "listening \"here\"\n");
        assert_eq!((&lines[0]["level"], &lines[0]["address"]), (&"INFO".into(), &"127.0.0.1:9501".into()));
        assert_eq!(lines[1]["count"], 7);
    }

    #[test]
    fn off_is_silent() {
        assert_eq!(logged(LogLevel::Off, LogFormat::Text, || tracing::error!("loud")), "");
    }

    #[test]
    fn a_line_takes_little_of_a_coroutines_stack() {
        const WORDS: usize = 8 * 1024 / size_of::<usize>();
        runtime::start(Default::default());
        let page = Page::default();
        let (logs, lines) = start_writer(page.clone()).unwrap();
        let subscriber = subscriber(LogLevel::Info, LogFormat::Json, false, lines);
        let small = may::go!(may::coroutine::Builder::new().stack_size(WORDS), move || {
            tracing::subscriber::with_default(subscriber, || {
                tracing::info!(pi = std::f64::consts::PI, text = "x".repeat(1_000), "from a small stack");
            });
        });
        small.unwrap().join().expect("8 KiB are enough");
        drop(logs);
        assert!(page.text().contains("from a small stack"));
    }

    /// An output that takes nothing until it is let go.
    struct Stuck(mpsc::Receiver<()>, Page);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_log_that_nobody_reads_blocks_nobody_and_tells_what_was_lost() {
        let (let_go, stuck) = mpsc::channel();
        let page = Page::default();
        let (logs, lines) = start_writer(Stuck(stuck, page.clone())).unwrap();
        let surplus = 100;
        let subscriber = subscriber(LogLevel::Info, LogFormat::Text, false, lines);
        tracing::subscriber::with_default(subscriber, || {
            // One more than the queue holds may be with the thread already.
            for _ in 0..QUEUE + 1 + surplus {
                tracing::info!("line");
            }
        });
        let dropped = logs.dropped();
        assert!((surplus as u64..=surplus as u64 + 1).contains(&dropped), "{dropped}");
        drop(let_go);
        drop(logs);
        assert!(page.text().contains(&format!("{dropped} log lines were dropped")));
    }
}
