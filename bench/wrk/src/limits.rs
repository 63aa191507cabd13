//! What the system allows this process, and what another process takes of it.

use std::fs;

use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};
use rustix::time::{clock_gettime, ClockId};

/// Files that are not connections: output, epoll sets, timers, signals.
const OTHER_FILES: u64 = 64;

/// Raises the limit of open files to the hard one and checks that `connections` fit.
///
/// # Errors
/// A sentence that says what is lacking and how to get it.
pub(crate) fn make_room_for(connections: usize) -> Result<(), String> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let in_force = if setrlimit(Resource::Nofile, raised).is_ok() { raised.current } else { limit.current };
    room_for(connections as u64, in_force)
}

/// Whether `connections` fit into a limit of `files` (`None`: there is none).
fn room_for(connections: u64, files: Option<u64>) -> Result<(), String> {
    let needed = connections + OTHER_FILES;
    match files {
        Some(files) if files < needed => Err(format!(
            "{connections} connections need {needed} open files, and the hard limit (RLIMIT_NOFILE) is {files}: \
             `ulimit -Hn {needed}` as root raises it, or use fewer connections"
        )),
        _ => Ok(()),
    }
}

/// Bytes of memory that process `pid` has resident; `None` if there is no such process or the system does not say.
pub(crate) fn resident_bytes(pid: u32) -> Option<u64> {
    // the sum of its mappings is exact, where the counter in `status` lags behind by some pages a core
    let exact = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok();
    let text = exact.or_else(|| fs::read_to_string(format!("/proc/{pid}/status")).ok())?;
    let line =
        text.lines().find_map(|line| line.strip_prefix("Rss:").or_else(|| line.strip_prefix("VmRSS:")))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Seconds of processor time that process `pid` has used, on all cores; `None` if there is no such process.
pub(crate) fn cpu_seconds(pid: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // behind the name, which may hold anything: fields 14 and 15 of proc(5), in ticks
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Seconds of processor time that this process has used.
pub(crate) fn own_cpu_seconds() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_files_are_named_with_what_is_needed() {
        assert_eq!(room_for(15_000, Some(20_000)), Ok(()));
        assert_eq!(room_for(15_000, None), Ok(()));
        let error = room_for(15_000, Some(1024)).unwrap_err();
        assert!(error.contains("15064") && error.contains("1024"), "{error}");
    }

    #[test]
    fn this_process_has_memory_and_one_that_is_not_there_has_none() {
        assert!(resident_bytes(std::process::id()).unwrap() > 100_000);
        assert_eq!(resident_bytes(u32::MAX), None);
    }

    #[test]
    fn processor_time_rises_with_work() {
        let (before, own_before) = (cpu_seconds(std::process::id()).unwrap(), own_cpu_seconds());
        while cpu_seconds(std::process::id()).unwrap() <= before {}
        assert!(own_cpu_seconds() > own_before);
        assert_eq!(cpu_seconds(u32::MAX), None);
    }
}
