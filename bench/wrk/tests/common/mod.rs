//! What the tests share: a run from a command line, and servers whose mistakes are known.
#![allow(unreachable_pub, reason = "a module of every test binary")]
#![allow(dead_code, reason = "each test binary uses its own part of it")]

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use clap::Parser;
use sandpool_wrk::{run, Args, Interrupt, Outcome, RunError};
use tungstenite::{Error, Message, WebSocket};

/// Runs what `line` asks for; `{}` in it is the address.
pub fn try_wrk(line: &str, addr: SocketAddr) -> Result<Outcome, RunError> {
    let line = format!("sandpool-wrk {}", line.replace("{}", &addr.to_string()));
    // a message in JSON has spaces; none of the others has
    let args = Args::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{error}"));
    run(&args.plan().unwrap(), &Interrupt::default(), &|_, _| {})
}

pub fn wrk(line: &str, addr: SocketAddr) -> Outcome {
    try_wrk(line, addr).unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// A server on a free port that hands each connection to `serve`, on a thread of its own.
pub fn tcp_server(serve: impl Fn(usize, TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let serve = serve.clone();
            thread::spawn(move || serve(number, stream.unwrap()));
        }
    });
    addr
}

/// The same with WebSockets; one that fails is closed.
pub fn websocket_server(
    serve: impl Fn(usize, &mut WebSocket<TcpStream>) -> Result<(), Error> + Clone + Send + 'static,
) -> SocketAddr {
    tcp_server(move |number, stream| {
        stream.set_nodelay(true).unwrap();
        // the first connection only tries whether somebody is there
        if let Ok(mut socket) = tungstenite::accept(stream) {
            let _ = serve(number, &mut socket);
        }
    })
}

/// One that answers message `n` of a connection with what `answer` makes of it.
pub fn answering_server(
    answer: impl Fn(usize, usize, &[u8]) -> Vec<u8> + Clone + Send + 'static,
) -> SocketAddr {
    websocket_server(move |number, socket| {
        let mut count = 0;
        loop {
            if let Message::Binary(message) = socket.read()? {
                socket.send(Message::binary(answer(number, count, &message)))?;
                count += 1;
            }
        }
    })
}

/// How many there were of the fault that the report calls `name`.
pub fn faults(outcome: &Outcome, name: &str) -> u64 {
    let all = sandpool_wrk::Fault::ALL;
    outcome.totals.faults[all.iter().position(|(_, known)| *known == name).unwrap()]
}
