//! What a run does, checked as a whole.

use std::net::SocketAddr;
use std::time::Duration;

use crate::target::{Scheme, Target};
use crate::workload::echo;

/// More connections than that no port range allows to one address.
const MOST_CONNECTIONS: usize = 64_000;
const MOST_THREADS: usize = 256;
const MOST_IN_FLIGHT: usize = 1_024;
/// What an open loop lets a WebSocket have under way: a stream goes on while earlier answers are late.
const OPEN_LOOP_IN_FLIGHT: usize = 64;

/// What is done with the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Messages go to and fro until the time is over.
    Stream,
    /// Each connection has one message answered, then all stay idle until the time is over.
    Hold,
    /// Each connection is opened, has its handshake, is closed, and opened again.
    Handshakes,
    /// All connections are opened once, none waiting for another.
    AtOnce,
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// `GET` requests.
    Http,
    /// Binary messages of so many bytes, which come back as they are.
    Echo(usize),
    /// Opus packets of 20 ms, each of which is answered with one.
    Opus,
}

/// Why there is no such run.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The address was none, or could not be resolved.
    #[error("{0}")]
    Target(String),
    /// A number is out of its range.
    #[error("{option}: {got} is not accepted, {accepted} is")]
    Range {
        /// The option, as typed.
        option: &'static str,
        /// What it was given.
        got: String,
        /// What it accepts.
        accepted: String,
    },
    /// Two options exclude each other.
    #[error("{0}")]
    Conflict(&'static str),
    /// A header that this tool writes itself.
    #[error("-H {name}: the tool writes this header itself, as the handshake or the request needs it")]
    OwnHeader {
        /// Its name, as given.
        name: String,
    },
    /// A header is none.
    #[error("-H {got:?} is no header: \"Name: value\" is")]
    Header {
        /// What was given.
        got: String,
    },
}

/// A run, checked.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) target: Target,
    pub(crate) address: SocketAddr,
    pub(crate) mode: Mode,
    pub(crate) work: Work,
    pub(crate) threads: usize,
    pub(crate) connections: usize,
    pub(crate) duration: Duration,
    pub(crate) warm_up: Duration,
    pub(crate) timeout: Duration,
    /// Messages a second of all connections together; `None` is a closed loop.
    pub(crate) rate: Option<f64>,
    /// Messages that a connection may have under way.
    pub(crate) in_flight: usize,
    /// What stands in the `Host` header.
    pub(crate) host: String,
    /// Header lines beyond the necessary ones, each with its line end.
    pub(crate) headers: String,
    /// A text message that begins each connection and is answered by one.
    pub(crate) first_message: Option<String>,
    /// Connections of all threads that may be on their way to be opened while the run begins.
    pub(crate) ramp: usize,
    /// Every so many clients, one decodes what it gets; 0 is none.
    pub(crate) decode_every: usize,
    /// Whether its threads never sleep.
    pub(crate) busy_poll: bool,
    /// The process whose memory and processor time are reported.
    pub(crate) watched: Option<u32>,
}

/// What was asked for, not yet checked.
#[derive(Clone, Debug)]
pub(crate) struct Wishes {
    pub(crate) url: String,
    pub(crate) mode: Mode,
    pub(crate) payload: Option<usize>,
    pub(crate) threads: usize,
    pub(crate) connections: usize,
    pub(crate) duration: Duration,
    pub(crate) warm_up: Duration,
    pub(crate) timeout: Duration,
    pub(crate) rate: Option<f64>,
    pub(crate) in_flight: Option<usize>,
    pub(crate) headers: Vec<String>,
    pub(crate) first_message: Option<String>,
    pub(crate) ramp: usize,
    pub(crate) decode_every: usize,
    pub(crate) busy_poll: bool,
    pub(crate) watched: Option<u32>,
}

impl Plan {
    pub(crate) fn new(wishes: Wishes) -> Result<Self, PlanError> {
        let target = Target::parse(&wishes.url).map_err(PlanError::Target)?;
        let address = target.resolve().map_err(PlanError::Target)?;
        let work = work_at(&target, wishes.payload)?;
        in_range("-c", wishes.connections, 1, MOST_CONNECTIONS)?;
        in_range("-t", wishes.threads, 1, MOST_THREADS)?;
        in_range("--ramp", wishes.ramp, 1, MOST_CONNECTIONS)?;
        if wishes.connections < wishes.threads {
            return Err(PlanError::Conflict("-c has to be at least -t: every thread needs a connection"));
        }
        if wishes.duration.is_zero() || wishes.timeout.is_zero() {
            return Err(PlanError::Conflict("-d and --timeout have to be above 0"));
        }
        if wishes.rate.is_some() && wishes.mode != Mode::Stream {
            return Err(PlanError::Conflict("-R needs a stream: --hold and --handshakes have no rate"));
        }
        if wishes.first_message.is_some() && work == Work::Http {
            return Err(PlanError::Conflict("--first-message is for ws:// addresses"));
        }
        let in_flight = wishes.in_flight.unwrap_or(match (wishes.rate, work) {
            (None, _) | (_, Work::Http) => 1,
            (Some(_), _) => OPEN_LOOP_IN_FLIGHT,
        });
        in_range("--in-flight", in_flight, 1, MOST_IN_FLIGHT)?;
        // over HTTP whether the connection stays is the client's to say, unless it is opened for each request
        let keeps_its_word = work == Work::Http && wishes.mode == Mode::Stream;
        let Headers { host, lines } = Headers::of(&wishes.headers, keeps_its_word)?;
        Ok(Self {
            host: host.unwrap_or_else(|| target.authority.clone()),
            headers: lines,
            target,
            address,
            mode: wishes.mode,
            work,
            threads: wishes.threads,
            connections: wishes.connections,
            duration: wishes.duration,
            warm_up: wishes.warm_up,
            timeout: wishes.timeout,
            rate: wishes.rate,
            in_flight,
            first_message: wishes.first_message,
            ramp: wishes.ramp,
            decode_every: wishes.decode_every,
            busy_poll: wishes.busy_poll,
            watched: wishes.watched,
        })
    }

    /// What is done with the connections.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether handshakes are what is measured.
    pub fn is_about_handshakes(&self) -> bool {
        matches!(self.mode, Mode::Handshakes | Mode::AtOnce)
    }

    /// The clients of thread `thread`, by their numbers.
    pub(crate) fn clients_of(&self, thread: usize) -> std::ops::Range<usize> {
        let begin = |thread: usize| self.connections * thread / self.threads;
        begin(thread)..begin(thread + 1)
    }

    /// How many of `clients` may be on their way to be opened.
    pub(crate) fn ramp_of(&self, clients: usize) -> usize {
        match self.mode {
            Mode::AtOnce | Mode::Handshakes => clients,
            Mode::Stream | Mode::Hold => (self.ramp * clients / self.connections).max(1),
        }
    }
}

fn work_at(target: &Target, payload: Option<usize>) -> Result<Work, PlanError> {
    match (target.scheme, payload) {
        (Scheme::Http, None) => Ok(Work::Http),
        (Scheme::Http, Some(_)) => Err(PlanError::Conflict("--payload is for ws:// addresses")),
        (Scheme::WebSocket, Some(bytes)) => {
            in_range("--payload", bytes, echo::LEAST_BYTES, echo::MOST_BYTES)?;
            Ok(Work::Echo(bytes))
        }
        (Scheme::WebSocket, None) if is_echo(&target.path) => Ok(Work::Echo(echo::USUAL_BYTES)),
        (Scheme::WebSocket, None) => Ok(Work::Opus),
    }
}

/// Whether the path itself, without its query, ends in `/echo`.
fn is_echo(path: &str) -> bool {
    path.split('?').next().is_some_and(|path| path.ends_with("/echo"))
}

fn in_range(option: &'static str, got: usize, least: usize, most: usize) -> Result<(), PlanError> {
    if (least..=most).contains(&got) {
        return Ok(());
    }
    Err(PlanError::Range { option, got: got.to_string(), accepted: format!("{least} to {most}") })
}

/// Headers that the tool writes itself; a second one would make the request a bad one.
const OURS: [&str; 6] = [
    "upgrade",
    "connection",
    "sec-websocket-key",
    "sec-websocket-version",
    "content-length",
    "transfer-encoding",
];

/// The headers that were asked for.
#[derive(Debug, Default)]
struct Headers {
    /// The last `Host`, which replaces the address's.
    host: Option<String>,
    /// The others, each with its line end.
    lines: String,
}

impl Headers {
    /// `connection`: whether `Connection` is accepted.
    fn of(headers: &[String], connection: bool) -> Result<Self, PlanError> {
        let mut found = Self::default();
        for header in headers {
            let (name, value) = header_of(header)?;
            let lowercase = name.to_ascii_lowercase();
            if lowercase == "host" {
                found.host = Some(value.to_owned());
                continue;
            }
            if OURS.contains(&lowercase.as_str()) && !(connection && lowercase == "connection") {
                return Err(PlanError::OwnHeader { name: name.to_owned() });
            }
            found.lines.push_str(&format!("{name}: {value}\r\n"));
        }
        Ok(found)
    }
}

/// Name and value of one header.
fn header_of(header: &str) -> Result<(&str, &str), PlanError> {
    let refuse = || PlanError::Header { got: header.to_owned() };
    let (name, value) = header.split_once(':').ok_or_else(refuse)?;
    let name_is_token = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&byte));
    let printable = value.bytes().all(|byte| byte == b'\t' || (byte >= b' ' && byte != 127));
    if !name_is_token || !printable {
        return Err(refuse());
    }
    Ok((name, value.trim()))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn wishes(url: &str) -> Wishes {
        Wishes {
            url: url.to_owned(),
            mode: Mode::Stream,
            payload: None,
            threads: 2,
            connections: 10,
            duration: Duration::from_secs(10),
            warm_up: Duration::ZERO,
            timeout: Duration::from_secs(2),
            rate: None,
            in_flight: None,
            headers: Vec::new(),
            first_message: None,
            ramp: 256,
            decode_every: 16,
            busy_poll: false,
            watched: None,
        }
    }

    fn work(url: &str, payload: Option<usize>) -> Work {
        Plan::new(Wishes { payload, ..wishes(url) }).unwrap().work
    }

    #[test]
    fn the_address_says_what_is_sent() {
        assert_eq!(work("http://127.0.0.1:1/echo", None), Work::Http);
        assert_eq!(work("ws://127.0.0.1:1", None), Work::Opus);
        assert_eq!(work("ws://127.0.0.1:1/echo", None), Work::Echo(128));
        assert_eq!(work("ws://127.0.0.1:1/echo?a=/b", None), Work::Echo(128));
        assert_eq!(work("ws://127.0.0.1:1/", Some(1000)), Work::Echo(1000));
    }

    #[test]
    fn clients_are_shared_out_without_one_left_over() {
        let plan = Plan::new(Wishes { threads: 3, ..wishes("ws://127.0.0.1:1") }).unwrap();
        let shares: Vec<_> = (0..3).map(|thread| plan.clients_of(thread)).collect();
        assert_eq!(shares, [0..3, 3..6, 6..10]);
    }

    #[test]
    fn an_open_loop_lets_a_websocket_go_on_and_http_wait() {
        let open = |url| Plan::new(Wishes { rate: Some(50.0), ..wishes(url) }).unwrap().in_flight;
        assert_eq!(open("ws://127.0.0.1:1"), OPEN_LOOP_IN_FLIGHT);
        assert_eq!(open("http://127.0.0.1:1"), 1);
        assert_eq!(Plan::new(wishes("ws://127.0.0.1:1")).unwrap().in_flight, 1);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let usual = || wishes("ws://127.0.0.1:1");
        let bad = [
            Wishes { connections: 0, ..usual() },
            Wishes { connections: 1, ..usual() },
            Wishes { connections: 1_000_000, ..usual() },
            Wishes { threads: 0, ..usual() },
            Wishes { payload: Some(3), ..usual() },
            Wishes { in_flight: Some(0), ..usual() },
            Wishes { duration: Duration::ZERO, ..usual() },
            Wishes { rate: Some(1.0), mode: Mode::Hold, ..usual() },
            Wishes { payload: Some(100), ..wishes("http://127.0.0.1:1") },
            Wishes { first_message: Some("{}".into()), ..wishes("http://127.0.0.1:1") },
        ];
        for wishes in bad {
            assert!(Plan::new(wishes.clone()).is_err(), "{wishes:?}");
        }
    }

    #[test]
    fn headers_are_checked_so_that_no_request_is_smuggled() {
        let of =
            |header: &str| Plan::new(Wishes { headers: vec![header.into()], ..wishes("http://127.0.0.1:1") });
        assert_eq!(of("X-One:  a b ").unwrap().headers, "X-One: a b\r\n");
        for bad in ["none", ": a", "A b: c", "A: b\r\nC: d", "Host: a\r\nC: d", "Transfer-Encoding: chunked"]
        {
            assert!(of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn host_is_replaced_connection_is_the_clients_and_what_is_refused_is_named() {
        let of = |url: &str, mode, headers: &[&str]| {
            let headers = headers.iter().map(ToString::to_string).collect();
            Plan::new(Wishes { headers, mode, ..wishes(url) })
        };
        let (http, ws) = ("http://127.0.0.1:1/", "ws://127.0.0.1:1/");
        assert_eq!(of(http, Mode::Stream, &[]).unwrap().host, "127.0.0.1:1");
        let plan = of(http, Mode::Stream, &["Host: a", "X: y", "host: b", "Connection: close"]).unwrap();
        assert_eq!((plan.host.as_str(), plan.headers.as_str()), ("b", "X: y\r\nConnection: close\r\n"));
        assert_eq!(of(ws, Mode::Stream, &["Host: a"]).unwrap().host, "a");
        for (url, mode) in [(ws, Mode::Stream), (http, Mode::Handshakes)] {
            let error = of(url, mode, &["Connection: close"]).unwrap_err();
            assert!(error.to_string().contains("-H Connection"), "{error}");
        }
    }
}
