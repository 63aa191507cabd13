//! The server's life: start, run, stop.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use sandbox::{AudioSandbox, Settings};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::app::{AudioApp, State};
use super::error::RETRY_AFTER;
use crate::config::{Loaded, ServerConfig};
use crate::net::mini::{MiniOptions, MiniServer};
use crate::net::{Front, NetOptions};
use crate::observe::{Health, RequestCounts};
use crate::runtime::watchdog::{Watchdog, WatchdogOptions};
use crate::runtime::{self, spawn_on, AnyError, Pool, PoolError, PoolOptions, Runtime, RuntimeOptions};
use crate::session::{self, SessionHub, SessionOptions};

/// A packet that is in its sandbox for longer than this is reported: its own 20 ms are over.
const SLOW_PACKET: Duration = Duration::from_millis(100);

/// Coroutines that are left for the operations listener however busy the public one is: operators must see why.
const OPERATIONS_SHARE: usize = 64;

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address could not be listened on.
    #[error("{setting} {addr}: {source}")]
    Listen {
        /// The setting that names the address.
        setting: &'static str,
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The pool could not be made.
    #[error("the pool of sandboxes: {0}")]
    Pool(#[from] PoolError),
    /// A worker could not process a packet of its own.
    #[error("warming up: {0}")]
    WarmUp(AnyError),
    /// The signals that stop the server could not be waited for.
    #[error("waiting for SIGTERM: {0}")]
    Signals(#[source] io::Error),
}

/// Runs the server until SIGTERM or SIGINT, then drains it. A second signal ends the process at once.
pub fn serve(loaded: Loaded) -> Result<(), ServeError> {
    // From here on a signal is a request to stop, also while the server is still starting.
    let mut signals = Signals::new([SIGTERM, SIGINT]).map_err(ServeError::Signals)?;
    let server = Server::start(loaded.config)?;
    server.introduce();
    let signal = signals.forever().next();
    tracing::info!("stopping ({}): no new connections, what is in flight may end", signal_name(signal));
    std::thread::spawn(move || {
        signals.forever().next();
        tracing::warn!("told to stop a second time: ending at once");
        std::process::exit(1);
    });
    server.stop();
    Ok(())
}

fn signal_name(signal: Option<i32>) -> &'static str {
    match signal {
        Some(SIGTERM) => "SIGTERM",
        Some(SIGINT) => "SIGINT",
        _ => "no more signals",
    }
}

/// A running server.
pub struct Server {
    state: Arc<State>,
    operations: MiniServer,
    addr: SocketAddr,
}

impl Server {
    /// Opens the listeners and serves.
    pub fn start(config: ServerConfig) -> Result<Self, ServeError> {
        let runtime = runtime::start(
            RuntimeOptions::default().workers(config.workers).max_coroutines(config.max_coroutines),
        );
        let workers = runtime.workers().len();
        let listen_error = |setting, addr| move |source| ServeError::Listen { setting, addr, source };

        // The ports first: a server that can't have them should say so before it builds anything.
        let listener = Front::bind(config.listen, &net_options(&config))
            .map_err(listen_error("listen", config.listen))?;
        let addr = listener.local_addr().map_err(listen_error("listen", config.listen))?;

        warm_up(runtime)?;
        let pool = Pool::new(pool_options(&config, workers), || AudioSandbox::new(Settings::default()))?;
        let watchdog = Watchdog::start(WatchdogOptions::default().stall_limit(config.stall_limit));
        let sessions = SessionOptions {
            template: Settings::default(),
            idle: config.session_idle,
            max_message: config.max_message.as_usize(),
            retry_after: RETRY_AFTER,
            slow_packet: SLOW_PACKET,
        };
        let state = Arc::new(State {
            sessions: Arc::new(SessionHub::new(pool.clone(), watchdog.clone(), sessions, workers)),
            pool,
            watchdog: watchdog.clone(),
            health: Health::new(),
            requests: RequestCounts::new(workers),
            started: Instant::now(),
            front: OnceLock::new(),
            config,
        });
        let app = AudioApp(Arc::clone(&state));
        // The operations listener has the same routes, so its requests have limits too.
        let ops_options = MiniOptions::default().watchdog(
            watchdog.clone(),
            state.config.request_soft_limit,
            state.config.request_hard_limit,
        );
        let operations = MiniServer::start(state.config.ops, app.clone(), ops_options)
            .map_err(listen_error("ops", state.config.ops))?;
        let front = Front::start(listener, app, net_options(&state.config), watchdog)
            .map_err(listen_error("listen", state.config.listen))?;
        let _ = state.front.set(front);
        state.health.serving();
        if state.config.chaos {
            tracing::warn!("--chaos: this server fails on request at /chaos/*; never run it so in public");
        }
        Ok(Self { state, operations, addr })
    }

    /// Where the public listener is.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where the operations listener is.
    pub fn ops_addr(&self) -> SocketAddr {
        self.operations.local_addr()
    }

    /// Refuses new connections, closes WebSockets with 1001, lets requests end, at most for the drain
    /// timeout, and closes the pool.
    pub fn stop(self) {
        let deadline = Instant::now() + self.state.config.drain_timeout;
        self.state.health.draining();
        if let Some(front) = self.state.front.get() {
            front.shutdown(deadline);
        }
        self.state.pool.close();
        let drained = self.state.pool.wait_drained(deadline.saturating_duration_since(Instant::now()));
        self.operations.stop();
        let pool = self.state.pool.status();
        if drained {
            tracing::info!("stopped; every lease came home ({} were given)", pool.checkouts);
        } else {
            tracing::warn!("stopped at the drain timeout; {} leases were still out", pool.leased);
        }
    }

    /// Tells a person where it is and what to try.
    fn introduce(&self) {
        let config = &self.state.config;
        let (addr, ops) = (self.addr(), self.ops_addr());
        let program = std::env::args().next().unwrap_or_else(|| "sandpool".to_owned());
        // Where standard output is closed, nobody is there to be told.
        let _ = write!(
            io::stdout(),
            "sandpool {version}: {workers} workers, {min} to {max} sandboxes, up to {connections} connections\n\
             public listener      {addr}  (HTTP and WebSocket)\n\
             operations listener  {ops}  (/health /ready /metrics /stats /status)\n\
             \n\
             Try, in another terminal:\n\
             \x20 {program} client --url ws://{addr}/\n\
             \x20 curl http://{addr}/status\n",
            version = env!("CARGO_PKG_VERSION"),
            workers = config.workers,
            min = config.pool_min,
            max = config.pool_max,
            connections = config.max_connections,
        );
        let _ = io::stdout().flush();
    }
}

/// Has every worker ready for its first packet. Before the pool is made: its sandboxes get the memory that these free.
fn warm_up(runtime: &Runtime) -> Result<(), ServeError> {
    let warming: Vec<_> = runtime
        .workers()
        .map(|worker| spawn_on(worker, || session::warm_up(Settings::default()).map_err(AnyError::from)))
        .collect();
    warming
        .into_iter()
        .try_for_each(|warmed| warmed.join().unwrap_or_else(|ended| Err(ended.into())))
        .map_err(ServeError::WarmUp)
}

fn pool_options(config: &ServerConfig, workers: usize) -> PoolOptions {
    PoolOptions::default()
        .name("audio")
        .capacity(config.pool_max)
        .min_idle(config.pool_min)
        .shards(workers)
        .acquire_timeout(config.acquire_timeout)
        .max_waiters(config.max_waiters)
        .max_uses(config.sandbox_max_uses)
        .max_lifetime(config.sandbox_max_lifetime)
        .idle_timeout(config.sandbox_idle)
        .leak_threshold(config.leak_threshold)
}

fn net_options(config: &ServerConfig) -> NetOptions {
    NetOptions::default()
        .max_connections(config.max_connections)
        // A coroutine for every connection at the same time, and for so many requests beside them.
        .max_requests((config.max_coroutines - config.max_connections).saturating_sub(OPERATIONS_SHARE))
        .max_head_bytes(config.max_header_bytes.as_usize())
        .head_timeout(config.header_timeout)
        .keep_alive(config.keep_alive)
        .socket_idle(config.websocket_idle)
        .ping_after(config.websocket_idle * 2 / 5)
        .write_stall(config.write_stall)
        .min_write_rate(config.min_write_rate.as_u64().try_into().unwrap_or(u32::MAX))
        .transfer_timeout(config.transfer_timeout)
        .max_buffered_bytes(config.max_buffered_bytes.as_u64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{load, Given, Machine};

    #[test]
    fn the_settings_reach_the_public_listener() {
        let machine = Machine { cores: 2, memory: None, open_files: None, mappings: None };
        let given = [
            ("SANDPOOL_MAX_BUFFERED_BYTES", "100MiB"),
            ("SANDPOOL_MIN_WRITE_RATE", "4KiB"),
            ("SANDPOOL_TRANSFER_TIMEOUT", "40s"),
        ];
        let environment = given.map(|(name, value)| (name.into(), value.into()));
        let loaded = load(&Given::default().environment(environment), machine).unwrap();
        let options = net_options(&loaded.config);
        assert_eq!((options.max_buffered_bytes, options.min_write_rate), (100 << 20, 4096));
        assert_eq!(options.transfer_timeout, Duration::from_secs(40));
    }
}
