//! The bare epoll loop over real sockets, driven by the load tool, which checks what comes back.

use std::net::SocketAddr;
use std::thread;

use clap::Parser;
use sandpool_peers::bare::{serve, Service};
use sandpool_peers::listen;
use sandpool_peers::transcoder::Chain;
use sandpool_wrk::{run, Args, Interrupt, Outcome};

/// What the load tool finds with `line`, in which `{}` is the address of a server of its own.
fn load(service: Service, line: &str) -> Outcome {
    let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let line = line.replace("{}", &listener.local_addr().unwrap().to_string());
    // serves for ever, until the process of the test ends
    thread::spawn(move || serve(&listener, service));
    let args = Args::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{error}"));
    run(&args.plan().unwrap(), &Interrupt::default(), &|_, _| {}).unwrap()
}

#[test]
fn every_client_recognises_its_voice_in_what_was_encoded_anew() {
    for chain in [Chain::None, Chain::Clarity] {
        let outcome = load(
            Service::Transcode(chain),
            "sandpool-wrk -t1 -c2 -d2s --timeout 10s --decode-every 1 ws://{}/",
        );
        let totals = &outcome.totals;
        assert!(outcome.is_right(), "{chain:?}: {totals:?}");
        assert!(totals.decoded >= totals.answers && totals.recognised > 0, "{chain:?}: {totals:?}");
        assert_eq!((totals.problems, totals.refused), ([0; 4], 0), "{chain:?}");
    }
}

#[test]
fn echoes_and_plain_answers_come_back_to_whom_they_belong() {
    // large ones do not go out at once, and several are on their way
    for line in [
        "sandpool-wrk -t1 -c20 -d300ms --in-flight 3 ws://{}/echo",
        "sandpool-wrk -t1 -c2 -d1s --timeout 30s --payload 3000000 ws://{}/echo",
        "sandpool-wrk -t1 -c20 -d300ms http://{}/",
        "sandpool-wrk -t1 -c4 -d300ms --handshakes ws://{}/echo",
    ] {
        let outcome = load(Service::Echo, line);
        let totals = &outcome.totals;
        assert!(outcome.is_right() && totals.handshakes.count() + totals.answers > 4, "{line}: {totals:?}");
        assert_eq!(totals.problems, [0; 4], "{line}");
    }
}
