//! The program itself: where its reports go, and how it ends.

mod common;

use std::net::SocketAddr;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use common::{answering_server, tcp_server};

/// Runs the program with the words of `line`; `{}` in it is the address.
fn program(line: &str, addr: SocketAddr) -> Output {
    let line = line.replace("{}", &addr.to_string());
    Command::new(env!("CARGO_BIN_EXE_sandpool-wrk")).args(line.split(' ')).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_hyphen_is_the_standard_output_and_what_a_person_reads_goes_to_the_other() {
    let addr = answering_server(|_, _, message| message.to_vec());
    for (option, begins) in [("--json", "{"), ("--hgrm", "       Value     Percentile")] {
        let done = program(&format!("-t1 -c2 -d200ms {option} - ws://{{}}/echo"), addr);
        let (out, err) = (text(&done.stdout), text(&done.stderr));
        assert!(done.status.success() && out.starts_with(begins), "{option}: {out}{err}");
        assert!(err.contains("Requests/sec:") && !out.contains("Requests/sec:"), "{option}: {out}");
    }
    assert!(!std::path::Path::new("-").exists());
}

#[test]
fn a_file_that_can_not_be_written_is_noticed_before_anybody_is_connected_to() {
    let connected = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connected);
    let addr = tcp_server(move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let nowhere = std::env::temp_dir().join(format!("no-such-folder-{}", std::process::id())).join("report");
    for option in ["--json", "--hgrm"] {
        let line = format!("-t1 -c1 -d200ms {option} {} ws://{{}}/echo", nowhere.display());
        let done = program(&line, addr);
        assert_eq!(done.status.code(), Some(1));
        assert!(text(&done.stderr).contains(nowhere.to_str().unwrap()), "{}", text(&done.stderr));
    }
    assert_eq!(connected.load(Ordering::SeqCst), 0);
}
