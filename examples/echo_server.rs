//! The network layer alone: `/echo` answers any HTTP request with its body, and every WebSocket message with itself.
//!
//! ```text
//! cargo run --release --example echo_server -- 127.0.0.1:9601 [workers]
//! ```

use std::time::Duration;

use sandpool::net::{
    App, Endpoint, Flow, Front, Handler, Message, Method, NetOptions, Outbox, Request, Response, RouteLimits,
};
use sandpool::runtime::watchdog::{Watchdog, WatchdogOptions};
use sandpool::runtime::{self, RuntimeOptions};

const MAX_MESSAGE: usize = 16 << 20;

struct EchoApp;

impl Handler for EchoApp {
    fn respond(&self, request: Request) -> Response {
        match request.path() {
            "/" => Response::text(200, "try /echo\n"),
            "/echo" => Response::bytes(200, "application/octet-stream", request.into_body()),
            _ => Response::text(404, "only / and /echo are here\n"),
        }
    }
}

impl App for EchoApp {
    type Socket = Echo;

    fn upgrade(&self, request: &Request) -> Result<Echo, Response> {
        match request.path() {
            "/" | "/echo" => Ok(Echo),
            _ => Err(Response::text(404, "the WebSocket is at /echo\n")),
        }
    }

    fn route_limits(&self, _method: &Method, _path: &str) -> RouteLimits {
        RouteLimits { name: "echo", max_body: MAX_MESSAGE, ..RouteLimits::default() }
    }
}

/// Answers every message with itself.
struct Echo;

impl Endpoint for Echo {
    type Held = ();

    fn max_message(&self) -> usize {
        MAX_MESSAGE
    }

    fn message(&mut self, message: Message, _held: &mut (), out: &mut Outbox) -> Flow {
        out.send(message);
        Flow::Continue
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:9601".to_owned()).parse()?;
    let mut options = RuntimeOptions::default();
    if let Some(workers) = arguments.next() {
        options = options.workers(workers.parse()?);
    }
    runtime::start(options);
    let limits = NetOptions::default().max_connections(20_000);
    let listener = Front::bind(address, &limits)?;
    let front = Front::start(listener, EchoApp, limits, Watchdog::start(WatchdogOptions::default()))?;
    println!("echo at http://{0}/echo and ws://{0}/echo", front.local_addr());
    loop {
        std::thread::sleep(Duration::from_secs(10));
        println!("{:?}", front.status());
    }
}
