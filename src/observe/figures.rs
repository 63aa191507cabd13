//! The figures of the runtime and the process as metrics.
//!
//! Every name begins with `sandpool_`, but for those of the process, which are Prometheus' own.

use std::fs;

use super::counters::RequestCounts;
use super::exposition::Exposition;
use crate::runtime::watchdog::Watchdog;

/// What is running, what ran too long, and whether the workers make progress.
pub fn watchdog(page: &mut Exposition, watchdog: &Watchdog) {
    page.gauges(
        "sandpool_worker_concurrency",
        "Requests in flight, by worker.",
        "worker",
        watchdog.worker_concurrency().into_iter().enumerate(),
    );
    page.gauge("sandpool_workers_stalled", "Workers that make no progress.", watchdog.stalled().len());
    let counts = watchdog.counts();
    page.counter("sandpool_work_late_total", "Work that passed its soft limit.", counts.late);
    page.counter("sandpool_work_expired_total", "Work that passed its hard limit.", counts.expired);
    page.counter("sandpool_worker_stalls_total", "Times that a worker made no progress.", counts.stalls);
}

/// Requests by the class of their answer.
pub fn requests(page: &mut Exposition, counts: &RequestCounts) {
    let totals = counts.totals().map(|(class, total)| (class.as_str(), total));
    page.counters("sandpool_http_requests_total", "HTTP requests answered.", "class", totals);
}

/// Memory, files and threads of this process, as far as the system tells.
pub fn process(page: &mut Exposition) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(kibibytes) = field(&status, "VmRSS:") {
        page.gauge("process_resident_memory_bytes", "Memory in use, in bytes.", kibibytes * 1024);
    }
    if let Some(threads) = field(&status, "Threads:") {
        page.gauge("process_threads", "Threads of the operating system.", threads);
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        // The listing itself has one open.
        page.gauge("process_open_fds", "Open file descriptors.", files.count().saturating_sub(1));
    }
    if let Some(limit) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        page.gauge("process_max_fds", "The most file descriptors that may be open.", limit);
    }
}

/// The number behind `name` in /proc/self/status.
fn field(status: &str, name: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::watchdog::{WatchdogOptions, Work};

    #[test]
    fn a_field_of_the_process_status_is_read_without_its_unit() {
        let status = "Name:\tsandpool\nVmRSS:\t    5120 kB\nThreads:\t7\n";
        assert_eq!((field(status, "VmRSS:"), field(status, "Threads:")), (Some(5_120), Some(7)));
        assert_eq!(field(status, "VmSwap:"), None);
    }

    #[test]
    fn the_process_tells_its_memory_threads_and_files() {
        let mut page = Exposition::new();
        process(&mut page);
        let page = page.finish();
        for name in ["resident_memory_bytes", "threads", "open_fds", "max_fds"] {
            let sample = page.lines().find(|line| line.starts_with(&format!("process_{name} "))).unwrap();
            let value: u64 = sample.split(' ').nth(1).unwrap().parse().unwrap();
            assert!(value > 0, "{sample}");
        }
    }

    #[test]
    fn each_worker_has_its_concurrency() {
        let watchdog = Watchdog::start(WatchdogOptions::default());
        let worker = crate::runtime::start(Default::default()).workers().next();
        let _watch = watchdog.begin_for(crate::runtime::CoroutineId::current(), worker, Work::request("one"));
        let mut page = Exposition::new();
        super::watchdog(&mut page, &watchdog);
        let page = page.finish();
        assert!(page.contains("sandpool_worker_concurrency{worker=\"0\"} 1\n"), "{page}");
        assert!(page.contains("sandpool_workers_stalled "), "{page}");
    }
}
