//! The one table of all settings.
//!
//! Each line of it is a setting's field, flag, bounds, default and explanation. From it come the fields of
//! [`ServerConfig`], the flags and their help, the keys of the file, the names of the environment's variables,
//! the messages for bad values, and `--print-config`. A new setting is a new line here and nothing else.

use std::net::SocketAddr;
use std::time::Duration;

use super::machine::Machine;
use super::value::{ByteSize, LogFormat, LogLevel, Value};
use crate::runtime::{MAX_CAPACITY, MAX_WORKERS};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// One setting, without its type.
pub(super) struct Setting {
    /// As in the file: `pool_max`.
    pub(super) key: &'static str,
    /// As on the command line, without the dashes: `pool-max`.
    pub(super) flag: &'static str,
    /// What stands for the value in the help.
    pub(super) placeholder: &'static str,
    /// What it is for.
    pub(super) help: &'static str,
    /// What is accepted, for messages.
    pub(super) accepts: fn() -> String,
    /// Reads a value and puts it into the configuration; `Err` when it is not accepted.
    pub(super) put: fn(&mut ServerConfig, &str) -> Result<(), ()>,
    /// Writes the value in force.
    pub(super) show: fn(&ServerConfig) -> String,
}

macro_rules! settings {
    ($($(#[doc = $help:literal])+ $key:ident: $type:ty, $flag:literal $placeholder:literal,
       $(in $bounds:expr,)? default $default:expr;)+) => {
        /// Everything that can be set about the server, parsed.
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub struct ServerConfig {
            $($(#[doc = $help])+ pub $key: $type,)+
        }

        impl ServerConfig {
            /// The defaults for `machine`.
            pub fn default_for(machine: &Machine) -> ServerConfig {
                ServerConfig { $($key: {
                    let default: fn(&Machine) -> $type = $default;
                    default(machine)
                },)+ }
            }
        }

        pub(super) static SETTINGS: &[Setting] = &[$(Setting {
            key: stringify!($key),
            flag: $flag,
            placeholder: $placeholder,
            help: concat!($($help),+),
            accepts: || {
                #[allow(unused_mut, reason = "not every setting has bounds")]
                let mut accepted = <$type as Value>::form();
                $(
                    let bounds = $bounds;
                    let [least, most] = [bounds.start(), bounds.end()].map(<$type as Value>::show_bound);
                    accepted.push_str(&format!(" (from {least} to {most})"));
                )?
                accepted
            },
            put: |config, text| {
                let value = <$type as Value>::parse(text).ok_or(())?;
                $(
                    if value.measure().is_some_and(|measure| !$bounds.contains(measure)) {
                        return Err(());
                    }
                )?
                config.$key = value;
                Ok(())
            },
            show: |config| config.$key.show(),
        },)+];
    };
}

settings! {
    /// Where clients connect: HTTP and WebSocket on one port.
    listen: SocketAddr, "listen" "ADDR",
        default |_| SocketAddr::from(([127, 0, 0, 1], 9501));
    /// Where operators look: health, metrics and statistics. Not meant for the public.
    ops: SocketAddr, "ops" "ADDR",
        default |_| SocketAddr::from(([127, 0, 0, 1], 9502));
    /// Worker threads that run the coroutines.
    workers: usize, "workers" "N", in 1..=MAX_WORKERS,
        default |machine| machine.cores.min(MAX_WORKERS);

    /// Sandboxes that are built at the start and kept, in the whole process.
    pool_min: usize, "pool-min" "N", in 0..=MAX_CAPACITY,
        default |machine| 4 * machine.cores.min(MAX_WORKERS);
    /// The most sandboxes there are at a time, in the whole process.
    pool_max: usize, "pool-max" "N", in 1..=MAX_CAPACITY,
        default |machine| machine.sandboxes_in_memory().unwrap_or(1_024).min(1_024);
    /// How long a request waits for a sandbox before it is told that there is none.
    acquire_timeout: Duration, "acquire-timeout" "TIME", in Duration::ZERO..=HOUR,
        default |_| 2 * SECOND;
    /// How many requests may wait for a sandbox; the next one is refused at once.
    max_waiters: usize, "max-waiters" "N", in 0..=1_000_000,
        default |_| 10_000;
    /// A sandbox is replaced after so many leases.
    sandbox_max_uses: Option<u64>, "sandbox-max-uses" "N", in 1..=1_000_000_000_000,
        default |_| None;
    /// A sandbox is replaced when it is older than this.
    sandbox_max_lifetime: Option<Duration>, "sandbox-max-lifetime" "TIME", in SECOND..=365 * DAY,
        default |_| None;
    /// Sandboxes above the minimum that were not needed for so long are given up.
    sandbox_idle: Option<Duration>, "sandbox-idle" "TIME", in SECOND..=DAY,
        default |_| Some(300 * SECOND);
    /// A lease in whose sandbox nothing was done for so long is reported as a probable leak.
    leak_threshold: Option<Duration>, "leak-threshold" "TIME", in SECOND..=DAY,
        default |_| Some(600 * SECOND);
    /// A client silent for so long gives its sandbox back, and takes a fresh one with its next frame.
    session_idle: Duration, "session-idle" "TIME", in MILLISECOND..=DAY,
        default |_| 30 * SECOND;

    /// The most connections at a time; the next ones are refused.
    max_connections: usize, "max-connections" "N", in 1..=10_000_000,
        default |machine| machine.max_connections().unwrap_or(usize::MAX).min(10_000);
    /// The most coroutines at a time: requests in flight and connections that are not idle.
    max_coroutines: usize, "max-coroutines" "N", in 16..=10_000_000,
        default |machine| machine.max_coroutines().unwrap_or(30_000).max(16);
    /// The longest head of an HTTP request, its request line and all its headers (100 at most) together.
    max_header_bytes: ByteSize, "max-header-bytes" "SIZE", in ByteSize::bytes(256)..=ByteSize::mib(1),
        default |_| ByteSize::kib(16);
    /// The longest body of an HTTP request.
    max_body: ByteSize, "max-body" "SIZE", in ByteSize::bytes(0)..=ByteSize::mib(4_096),
        default |_| ByteSize::mib(64);
    /// What bodies, and answers and messages of more than 16 KiB, take together; one that does not fit is refused for now.
    max_buffered_bytes: ByteSize, "max-buffered-bytes" "SIZE", in ByteSize::mib(1)..=ByteSize::mib(1 << 20),
        default |_| ByteSize::mib(1_024);
    /// The longest WebSocket message at `/`; at `/echo` it is 16 MiB.
    max_message: ByteSize, "max-message" "SIZE", in ByteSize::bytes(1_500)..=ByteSize::mib(16),
        default |_| ByteSize::kib(64);

    /// A request that takes longer is reported in the log.
    request_soft_limit: Duration, "request-soft-limit" "TIME", in MILLISECOND..=DAY,
        default |_| 5 * SECOND;
    /// A request that takes longer is cancelled and answered with 504.
    request_hard_limit: Duration, "request-hard-limit" "TIME", in MILLISECOND..=DAY,
        default |_| 30 * SECOND;
    /// Enhancing an uploaded recording may take so long, instead of the hard limit; after half of that it is reported.
    process_limit: Duration, "process-limit" "TIME", in SECOND..=DAY,
        default |_| 300 * SECOND;
    /// The head of a request must have come within this.
    header_timeout: Duration, "header-timeout" "TIME", in 10 * MILLISECOND..=HOUR,
        default |_| 10 * SECOND;
    /// An HTTP connection without a request for so long is closed.
    keep_alive: Duration, "keep-alive" "TIME", in 10 * MILLISECOND..=DAY,
        default |_| 60 * SECOND;
    /// A WebSocket without a sign of life, pings answered included, for so long is closed.
    websocket_idle: Duration, "websocket-idle" "TIME", in 100 * MILLISECOND..=DAY,
        default |_| 300 * SECOND;
    /// A client that reads nothing of what waits for it for so long is cut off.
    write_stall: Duration, "write-stall" "TIME", in 10 * MILLISECOND..=HOUR,
        default |_| 10 * SECOND;
    /// A client that reads fewer bytes a second of what waits for it, after that time, is cut off.
    min_write_rate: ByteSize, "min-write-rate" "SIZE", in ByteSize::bytes(1)..=ByteSize::mib(1_024),
        default |_| ByteSize::bytes(500);
    /// All that is held for a client could be sent, or read, within this at the least rate: who holds more must be faster.
    transfer_timeout: Duration, "transfer-timeout" "TIME", in SECOND..=DAY,
        default |_| 300 * SECOND;
    /// What is in flight when the server is told to stop has so long to end.
    drain_timeout: Duration, "drain-timeout" "TIME", in Duration::ZERO..=HOUR,
        default |_| 10 * SECOND;
    /// A worker that makes no progress for so long is reported, and the server is not ready meanwhile.
    stall_limit: Duration, "stall-limit" "TIME", in 10 * MILLISECOND..=HOUR,
        default |_| 2 * SECOND;

    /// Adds /chaos/panic, /chaos/overflow, /chaos/spin, /chaos/hang and /chaos/error, which fail on purpose.
    chaos: bool, "chaos" "BOOL",
        default |_| false;
    /// How much is logged.
    log_level: LogLevel, "log-level" "LEVEL",
        default |_| LogLevel::Info;
    /// The form of a log line.
    log_format: LogFormat, "log-format" "FORMAT",
        default |_| LogFormat::Text;
}
