//! sandpool's own side of the plain HTTP comparison: its public front and its pool, with a sandbox whose reset is empty.
//! Every request checks one out and is counted by its status. The front's and the pool's limits are the library's defaults,
//! each request is entered at the watchdog; routes, sessions and an operations listener, which the audio server has, are not.

use std::convert::Infallible;

use clap::Parser;
use sandpool::net::{App, Endpoint, Flow, Front, Handler, Message, NetOptions, Outbox, Request, Response};
use sandpool::observe::RequestCounts;
use sandpool::runtime::watchdog::{Watchdog, WatchdogOptions};
use sandpool::runtime::{self, AnyError, Pool, PoolOptions, RuntimeOptions, Sandbox};
use sandpool_peers::{announce, Listen};
use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Nothing to bring back: what is measured is the way into a sandbox and out of it.
struct Empty;

impl Sandbox for Empty {
    const RESETS_ON_DEEP_STACK: bool = false;

    fn reset(&mut self) -> Result<(), AnyError> {
        Ok(())
    }
}

struct Plain {
    pool: Pool<Empty>,
    requests: RequestCounts,
}

impl Handler for Plain {
    fn respond(&self, _: Request) -> Response {
        let response = match self.pool.checkout() {
            Ok(mut lease) => lease.enter(|_| Response::text(200, "Hello, world!")),
            Err(error) => Response::text(503, format!("{error}\n")),
        };
        self.requests.answered(response.status());
        response
    }
}

impl App for Plain {
    type Socket = Nothing;

    fn upgrade(&self, _: &Request) -> Result<Nothing, Response> {
        Err(Response::text(404, "there is no WebSocket here\n"))
    }
}

/// No upgrade is ever agreed to.
struct Nothing;

impl Endpoint for Nothing {
    type Held = ();

    fn max_message(&self) -> usize {
        0
    }

    fn message(&mut self, _: Message, (): &mut (), _: &mut Outbox) -> Flow {
        Flow::Continue
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Listen::parse();
    let runtime = runtime::start(RuntimeOptions::default().workers(options.threads).max_coroutines(20_000));
    let pool = Pool::new(PoolOptions::default().capacity(1_024), || Ok::<_, Infallible>(Empty))?;
    let limits = NetOptions::default();
    let listener = Front::bind(options.listen, &limits)?;
    let watchdog = Watchdog::start(WatchdogOptions::default());
    let requests = RequestCounts::new(runtime.workers().len());
    let front = Front::start(listener, Plain { pool, requests }, limits, watchdog)?;
    announce("sandpool, plain HTTP", front.local_addr(), options.threads);
    loop {
        std::thread::park();
    }
}
