//! What the machine allows, read once at the start: the defaults and some upper bounds hang on it.

use std::fs;
use std::thread;

use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};

/// Files that are not connections: listeners, epoll sets, event descriptors, logs, and room for
/// the accept that only says no.
const FILES_KEPT_BACK: usize = 256;

/// With fewer files than this the server doesn't start: it could not even tell clients that it is full.
pub(super) const FEWEST_FILES: usize = FILES_KEPT_BACK + 64;

/// Mappings that are not coroutine stacks: the program, its libraries, heaps and threads.
const MAPPINGS_KEPT_BACK: usize = 2_000;

/// A coroutine's stack is two mappings: the stack, and the guard page below it.
const MAPPINGS_A_COROUTINE: usize = 2;

/// What is taken for an audio sandbox's memory where the default of `pool_max` is worked out.
/// Codec, filters and block buffers stay below it.
const BYTES_A_SANDBOX: u64 = 512 << 10;

/// The limits of this machine and this process. `None` where the system does not tell or there is
/// no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// CPU cores this process may use.
    pub cores: usize,
    /// Physical memory, in bytes.
    pub memory: Option<u64>,
    /// How many files the process may open (`RLIMIT_NOFILE`).
    pub open_files: Option<usize>,
    /// How many memory mappings the process may have (`vm.max_map_count`).
    pub mappings: Option<usize>,
}

impl Machine {
    /// Raises the process's limit of open files as far as it may without rights, and reads all
    /// limits.
    pub fn prepare() -> Machine {
        Machine {
            cores: thread::available_parallelism().map_or(1, usize::from),
            memory: read_memory(),
            open_files: raise_open_files(),
            mappings: read_number("/proc/sys/vm/max_map_count"),
        }
    }

    /// The most connections that fit into the limit of open files.
    pub fn max_connections(&self) -> Option<usize> {
        self.open_files.map(|files| files.saturating_sub(FILES_KEPT_BACK).max(1))
    }

    /// The most coroutines that fit into the limit of memory mappings.
    pub fn max_coroutines(&self) -> Option<usize> {
        self.mappings
            .map(|mappings| (mappings.saturating_sub(MAPPINGS_KEPT_BACK) / MAPPINGS_A_COROUTINE).max(1))
    }

    /// How many sandboxes fit into a quarter of the memory.
    pub fn sandboxes_in_memory(&self) -> Option<usize> {
        let fitting = self.memory? / 4 / BYTES_A_SANDBOX;
        Some(usize::try_from(fitting).unwrap_or(usize::MAX).max(1))
    }
}

/// Sets the soft limit to the hard one. Where that fails, the soft one stays in force.
fn raise_open_files() -> Option<usize> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let in_force = if setrlimit(Resource::Nofile, raised).is_ok() { raised } else { limit };
    in_force.current.map(|files| usize::try_from(files).unwrap_or(usize::MAX))
}

fn read_number(path: &str) -> Option<usize> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The smaller one of the machine's memory and the control group's limit.
fn read_memory() -> Option<u64> {
    let group = read_number("/sys/fs/cgroup/memory.max").map(|bytes| bytes as u64);
    let info = fs::read_to_string("/proc/meminfo").ok();
    let machine = info.as_deref().and_then(memory_total);
    [group, machine].into_iter().flatten().min()
}

/// `MemTotal` of /proc/meminfo, in bytes.
fn memory_total(info: &str) -> Option<u64> {
    let line = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_say_how_many_connections_and_coroutines_fit() {
        let machine =
            Machine { cores: 2, memory: Some(1 << 30), open_files: Some(20_000), mappings: Some(65_530) };
        assert_eq!(machine.max_connections(), Some(19_744));
        assert_eq!(machine.max_coroutines(), Some(31_765));
        assert_eq!(machine.sandboxes_in_memory(), Some(512));
    }

    #[test]
    fn the_tightest_limits_leave_one_of_each() {
        let machine = Machine { cores: 1, memory: Some(0), open_files: Some(0), mappings: Some(0) };
        assert_eq!(machine.max_connections(), Some(1));
        assert_eq!(machine.max_coroutines(), Some(1));
        assert_eq!(machine.sandboxes_in_memory(), Some(1));
    }

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(memory_total("MemTotal:       24684532 kB\nMemFree: 1 kB\n"), Some(24_684_532 * 1024));
        assert_eq!(memory_total("MemFree: 1 kB\n"), None);
    }

    #[test]
    fn this_machine_tells_its_limits() {
        let machine = Machine::prepare();
        assert!(machine.cores >= 1);
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum, "the soft limit was raised to the hard one");
    }
}
