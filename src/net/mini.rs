//! Serving a [`Handler`] through `may_minihttp`: a fast, plain HTTP/1.1 server for a port that is trusted.
//!
//! ```text
//!   may_minihttp's coroutine of the connection          a coroutine of the request's own
//!   ─────────────────────────────────────────           ────────────────────────────────
//!   read, parse ──► check, take the body ── spawn ──► Handler::respond, watched
//!   write       ◄── encode             ◄── join ──── a response, a panic or a cancel
//! ```
//!
//! The operations listener is served so. An embedder can put handlers that work in sandboxes on it too.
//!
//! # What may_minihttp can't do
//!
//! It has no time-outs, no upgrades, no chunked bodies, takes 16 headers, and never closes a connection by
//! itself. Where that would do harm, this adapter closes the connection after an answer that says why. The
//! answer to HEAD has no body and hence `Content-Length: 0`. For a port that everybody can reach, use the public
//! listener instead.
//!
//! Its response headers must live for ever. Each distinct header line is therefore kept once, up to a bound for
//! the whole process; a line past the bound is left out. Constant headers, and values from a small set, are
//! what fits; `Content-Type` is among the first to be kept.

use std::collections::HashSet;
use std::fmt;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::panic;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use may::coroutine;
use may_minihttp::{HttpService, HttpServiceFactory};
use parking_lot::RwLock;
use rustix::net::{bind, getsockname, socket, sockopt, AddressFamily, SocketType};

use super::http::{Headers, Method, Request, Response, Version};
use super::Handler;
use crate::runtime::watchdog::{Finding, Watchdog, Work};
use crate::runtime::{self, time, Ended, Spawn};

/// The headers that may_minihttp has room for in a response.
const MAX_RESPONSE_HEADERS: usize = 16;

/// Distinct header lines that are kept, in the whole process.
const MAX_HEADER_LINES: usize = 512;

/// The longest header line that is kept, in bytes.
const MAX_HEADER_LINE: usize = 256;

/// How long [`MiniServer::stop`] waits at most.
const STOP_LIMIT: Duration = Duration::from_secs(1);

/// How often a full listener looks whether a connection has left.
const FULL_PAUSE: Duration = Duration::from_millis(10);

/// How a [`MiniServer`] treats requests.
#[derive(Clone, Debug)]
pub struct MiniOptions {
    max_connections: usize,
    max_body: usize,
    watch: Option<Watching>,
}

#[derive(Clone, Debug)]
struct Watching {
    watchdog: Watchdog,
    soft_limit: Duration,
    hard_limit: Duration,
}

impl Default for MiniOptions {
    fn default() -> MiniOptions {
        MiniOptions { max_connections: 64, max_body: 1 << 20, watch: None }
    }
}

impl MiniOptions {
    /// Connections at once; the next ones wait in the listening socket's queue until one has left. Default 64, at least
    /// 1. A listener without a limit could take the last file descriptor, and may_minihttp's acceptor spins then.
    #[must_use]
    pub fn max_connections(mut self, connections: usize) -> MiniOptions {
        self.max_connections = connections.max(1);
        self
    }

    /// The longest body of a request, in bytes; a longer one is answered with 413. Default 1 MiB.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> MiniOptions {
        self.max_body = bytes;
        self
    }

    /// Has `watchdog` watch each request: past `soft_limit` it warns, past `hard_limit` the request's coroutine is
    /// cancelled and the client gets 504. Default: no limits.
    #[must_use]
    pub fn watchdog(mut self, watchdog: Watchdog, soft_limit: Duration, hard_limit: Duration) -> MiniOptions {
        self.watch = Some(Watching { watchdog, soft_limit, hard_limit });
        self
    }
}

/// A running may_minihttp server. Dropping it lets it run on; [`stop`](Self::stop) ends it.
pub struct MiniServer {
    addr: SocketAddr,
    acceptor: coroutine::JoinHandle<()>,
    shared: Arc<Shared>,
}

impl MiniServer {
    /// Serves `handler` at `addr`. With port 0 the system chooses the port: see [`local_addr`](Self::local_addr).
    ///
    /// # Errors
    ///
    /// When the address is taken (`AddrInUse`) or is none of this machine's.
    pub fn start(addr: SocketAddr, handler: impl Handler, options: MiniOptions) -> io::Result<MiniServer> {
        runtime::start(Default::default());
        let reserved = ReservedAddr::reserve(addr)?;
        let shared = Arc::new(Shared {
            handler: Box::new(handler),
            options,
            stopped: AtomicBool::new(false),
            open: AtomicUsize::new(0),
        });
        let acceptor = Factory(Arc::clone(&shared)).start(reserved.addr)?;
        Ok(MiniServer { addr: reserved.addr, acceptor, shared })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Closes the listening socket and waits for that, but not long when a stalled worker keeps it; requests in progress
    /// end as usual. The connections that are open are told at their next request (503) to go; nothing reads
    /// from one that sends none.
    pub fn stop(self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // The acceptor can't be cancelled while it waits for its socket; one more connection lets it look at the mark. A
        // plain socket, for one of may's would be waited for on a worker, which may be the stalled one.
        if TcpStream::connect_timeout(&reachable(self.addr), STOP_LIMIT).is_ok() {
            let deadline = Instant::now() + STOP_LIMIT;
            while !self.acceptor.is_done() && Instant::now() < deadline {
                time::sleep(Duration::from_millis(1));
            }
        }
    }
}

impl fmt::Debug for MiniServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MiniServer").field("addr", &self.addr).finish_non_exhaustive()
    }
}

/// What all connections have in common.
struct Shared {
    handler: Box<dyn Handler>,
    options: MiniOptions,
    stopped: AtomicBool,
    /// Connections that are open.
    open: AtomicUsize,
}

/// An address that nobody else listens at, for as long as this lives.
///
/// may_minihttp takes an address and no socket, does not tell which port it got for port 0, and shares a port with
/// whoever else is there (`SO_REUSEPORT`). So a socket that never listens takes the address first, for itself
/// alone, and lets others in after that.
struct ReservedAddr {
    addr: SocketAddr,
    _socket: std::os::fd::OwnedFd,
}

impl ReservedAddr {
    fn reserve(addr: SocketAddr) -> io::Result<ReservedAddr> {
        let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let holder = socket(family, SocketType::STREAM, None)?;
        // What is left of connections of an earlier run does not stand in the way.
        sockopt::set_socket_reuseaddr(&holder, true)?;
        bind(&holder, &addr)?;
        sockopt::set_socket_reuseport(&holder, true)?;
        let addr = SocketAddr::try_from(getsockname(&holder)?)?;
        Ok(ReservedAddr { addr, _socket: holder })
    }
}

/// An address to connect to for a listener at `addr`: one at all addresses of the machine is at the loopback too.
fn reachable(mut addr: SocketAddr) -> SocketAddr {
    match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => addr.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => addr.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    addr
}

struct Factory(Arc<Shared>);

impl HttpServiceFactory for Factory {
    type Service = Connection;

    /// Runs in the acceptor's coroutine: as long as it waits, nothing is accepted.
    fn new_service(&self, _: usize) -> Connection {
        let shared = &self.0;
        let is_full = || shared.open.load(Ordering::Relaxed) >= shared.options.max_connections;
        if is_full() {
            tracing::warn!(
                "{} connections, as many as may be: the next ones wait",
                shared.options.max_connections
            );
        }
        while is_full() && !shared.stopped.load(Ordering::SeqCst) {
            time::sleep(FULL_PAUSE);
        }
        if shared.stopped.load(Ordering::SeqCst) {
            end_coroutine("the server has stopped");
        }
        shared.open.fetch_add(1, Ordering::Relaxed);
        Connection { shared: Arc::clone(shared), closing: false }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One connection's side of the adapter.
struct Connection {
    shared: Arc<Shared>,
    /// The last answer was the last one: what comes next can't be trusted to be a request.
    closing: bool,
}

impl HttpService for Connection {
    fn call(
        &mut self,
        request: may_minihttp::Request<'_, '_, '_>,
        response: &mut may_minihttp::Response<'_>,
    ) -> io::Result<()> {
        if self.closing {
            end_coroutine("the connection is closed");
        }
        let answer = match self.read(request) {
            Ok(request) => {
                let head_only = *request.method() == Method::Head;
                let answer = self.respond(request);
                if head_only {
                    answer.with_body(Vec::new())
                } else {
                    answer
                }
            }
            Err(refusal) => {
                self.closing = true;
                refusal.header("Connection", "close")
            }
        };
        write(answer, response);
        Ok(())
    }
}

impl Connection {
    /// The whole request, or what to answer when there is none to be had.
    fn read(&self, request: may_minihttp::Request<'_, '_, '_>) -> Result<Request, Response> {
        let shared = &self.shared;
        if shared.stopped.load(Ordering::Relaxed) {
            return Err(Response::text(503, "the server has stopped\n"));
        }
        let length = body_length(request.headers())?;
        if length > shared.options.max_body {
            let most = shared.options.max_body;
            return Err(Response::text(
                413,
                format!("the body has {length} bytes, at most {most} are taken\n"),
            ));
        }
        let version = if request.version() == 0 { Version::Http10 } else { Version::Http11 };
        let mut headers = Headers::new();
        for header in request.headers() {
            headers.append(header.name, header.value);
        }
        let read = Request::new(Method::from_name(request.method()), request.path())
            .with_version(version)
            .with_headers(headers);
        let mut body = vec![0; length];
        // Nobody waits for an answer who left before the end of the request.
        if request.body().read_exact(&mut body).is_err() {
            end_coroutine("the connection is closed");
        }
        Ok(read.with_body(body))
    }

    /// Runs the handler in a coroutine of its own: it may fail, overflow or be cancelled there, and this
    /// connection lives on.
    fn respond(&self, request: Request) -> Response {
        let shared = Arc::clone(&self.shared);
        let spawned = Spawn::new().here().try_start(move || shared.handler.respond(request));
        let handler = match spawned {
            Ok(handler) => handler,
            Err(error) => return Response::text(503, format!("{error}\n")),
        };
        let watch = self.shared.options.watch.as_ref().map(|watch| {
            let canceller = handler.canceller();
            let cancel = Arc::new(move |_: &Finding| canceller.cancel());
            let work = Work::request("minihttp request")
                .soft_limit(watch.soft_limit)
                .hard_limit(watch.hard_limit)
                .on_expiry(cancel);
            watch.watchdog.begin_for(handler.id(), runtime::WorkerId::current(), work)
        });
        let outcome = handler.join();
        drop(watch);
        outcome.unwrap_or_else(|ended| match ended {
            Ended::Cancelled => Response::text(504, "the request took too long\n"),
            Ended::Panicked(_) | Ended::Overflowed => {
                tracing::error!("a request failed: {ended}");
                Response::text(500, "the request failed\n")
            }
        })
    }
}

/// Ends the coroutine of a connection, or of the acceptor, and with it its socket. may_minihttp knows no other way.
/// No panic is reported, for it is none.
fn end_coroutine(why: &'static str) -> ! {
    panic::resume_unwind(Box::new(why))
}

/// How long the body is. may_minihttp panics at a length that is none, and takes the parts of a chunked body for
/// requests, so both are refused before it looks.
fn body_length(headers: &[httparse::Header<'_>]) -> Result<usize, Response> {
    let named =
        |name: &'static str| headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
    if named("transfer-encoding").next().is_some() {
        return Err(Response::text(
            501,
            "a body needs a Content-Length here; Transfer-Encoding is not supported\n",
        ));
    }
    let mut lengths = named("content-length").map(|header| parse_length(header.value));
    let Some(first) = lengths.next() else { return Ok(0) };
    match first {
        Some(length) if lengths.all(|other| other == first) => Ok(length),
        _ => Err(Response::text(400, "Content-Length must be one decimal number\n")),
    }
}

/// Digits only: `parse` alone would take a plus sign as well.
fn parse_length(value: &[u8]) -> Option<usize> {
    let digits = std::str::from_utf8(value).ok()?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

fn write(answer: Response, response: &mut may_minihttp::Response<'_>) {
    response.status_code(answer.status().into(), Response::reason(answer.status()));
    // may_minihttp writes the length itself.
    let headers = answer.headers().filter(|(name, _)| !name.eq_ignore_ascii_case("content-length"));
    for line in headers.filter_map(|(name, value)| kept_line(name, value)).take(MAX_RESPONSE_HEADERS) {
        response.header(line);
    }
    response.body_vec(answer.into_body().into());
}

static HEADER_LINES: LazyLock<RwLock<HashSet<&'static str>>> = LazyLock::new(RwLock::default);

/// The line `name: value` for ever, or nothing when there is no room for another one.
fn kept_line(name: &str, value: &str) -> Option<&'static str> {
    let line = format!("{name}: {value}");
    if let Some(kept) = HEADER_LINES.read().get(line.as_str()) {
        return Some(kept);
    }
    if line.len() > MAX_HEADER_LINE {
        return None;
    }
    let mut lines = HEADER_LINES.write();
    if let Some(kept) = lines.get(line.as_str()) {
        return Some(kept);
    }
    if lines.len() >= MAX_HEADER_LINES {
        return None;
    }
    let kept: &'static str = Box::leak(line.into_boxed_str());
    lines.insert(kept);
    Some(kept)
}

#[cfg(test)]
mod tests;
