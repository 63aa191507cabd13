//! What the kernel alone costs: a bare epoll loop that echoes, or with `--transcode` answers every Opus packet with the same
//! sound, encoded anew by libopus.

use std::io;

use clap::Parser;
use sandpool_peers::bare::{serve, Service};
use sandpool_peers::transcoder::Chain;
use sandpool_peers::{announce, listen, Listen};
use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

#[derive(Clone, Debug, Parser)]
struct Options {
    #[command(flatten)]
    listen: Listen,
    /// Answer binary messages, which are Opus packets, with their sound encoded anew
    #[arg(long)]
    transcode: bool,
    /// What is between decoder and encoder
    #[arg(long, value_enum, default_value = "none", requires = "transcode")]
    chain: Chain,
}

fn main() -> io::Result<()> {
    let Options { listen: Listen { listen: addr, threads }, transcode, chain } = Options::parse();
    if threads != 1 {
        return Err(io::Error::other(format!("--threads {threads}: only 1 is accepted")));
    }
    let (name, service) = if transcode {
        ("bare epoll loop with libopus", Service::Transcode(chain))
    } else {
        ("bare epoll loop", Service::Echo)
    };
    let listener = listen(addr)?;
    announce(name, listener.local_addr()?, threads);
    serve(&listener, service)
}
