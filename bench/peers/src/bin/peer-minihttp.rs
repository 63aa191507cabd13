//! may_minihttp by itself: plain text at any path.

use std::io;

use clap::Parser;
use may_minihttp::{HttpServer, HttpService, Request, Response};
use sandpool_peers::{announce, Listen};
use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

#[derive(Clone)]
struct HelloWorld;

impl HttpService for HelloWorld {
    fn call(&mut self, _: Request<'_, '_, '_>, response: &mut Response<'_>) -> io::Result<()> {
        response.body("Hello, world!");
        Ok(())
    }
}

fn main() -> io::Result<()> {
    let options = Listen::parse();
    // it pins each thread to the core of its own number otherwise, wherever it was told to run
    may::config().set_workers(options.threads).set_worker_pin(false);
    let server = HttpServer(HelloWorld).start(options.listen)?;
    announce("may_minihttp", options.listen, options.threads);
    server.join().map_err(|_| io::Error::other("the acceptor panicked"))
}
