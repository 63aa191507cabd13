//! `sandpool client` against a real server.

use std::net::SocketAddr;
use std::process::{Command, Output};

use crate::common::{best_lag, read_wav, voice, Directory, ServerProcess};

fn client(addr: SocketAddr, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sandpool"))
        .args(["client", "--url", &format!("ws://{addr}/")])
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn all_six_checks_pass_against_a_sound_server() {
    let server = ServerProcess::start(&[]);
    let output = client(server.addr, &[]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(said.matches('✓').count(), 6, "{said}");
}

#[test]
fn a_failed_check_ends_with_1() {
    // A server without a sandbox to spare: the audio checks fail, the others pass.
    let server = ServerProcess::start(&["--pool-min", "0", "--pool-max", "1", "--acquire-timeout", "10ms"]);
    let (mut holder, _) = crate::common::Client::welcome(server.addr);
    holder.audio(&crate::common::packets(&sandbox::Settings::default(), 1, 1)[0]).unwrap();
    let output = client(server.addr, &[]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains('✗') && said.contains('✓'), "{said}");
}

#[test]
fn without_a_server_it_says_how_to_start_one() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = client(free, &[]);
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("make run"), "{said}");
}

#[test]
fn a_streamed_voice_comes_back_aligned_louder_where_soft_and_quieter_in_its_pauses() {
    let server = ServerProcess::start(&[]);
    let directory = Directory::new("client");
    let out = directory.path("out.wav");
    let output = client(server.addr, &["--in", voice().to_str().unwrap(), "--out", out.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let (sent, enhanced) = (read_wav(&voice()), read_wav(&out));
    assert_eq!((enhanced.format, enhanced.frames()), (sent.format, sent.frames()));

    let lag = best_lag(&sent.samples, &enhanced.samples, 800);
    let limit = (sent.format.sample_rate / 100) as i64;
    assert!(lag.abs() <= limit, "{lag} samples apart, {limit} are allowed (10 ms)");

    // 50 ms at a time: what was soft speech, and what was a pause.
    let levels = |samples: &[f32]| -> Vec<f32> { samples.chunks_exact(800).map(rms_db).collect() };
    let (before, after) = (levels(&sent.samples), levels(&enhanced.samples));
    let mut sorted = before.clone();
    sorted.sort_by(f32::total_cmp);
    let at = |quantile: f32| sorted[(sorted.len() as f32 * quantile) as usize];
    let gain_between = |low: f32, high: f32| {
        let gains: Vec<f32> =
            before.iter().zip(&after).filter(|(&b, _)| b >= low && b < high).map(|(b, a)| a - b).collect();
        gains.iter().sum::<f32>() / gains.len() as f32
    };
    let (pauses, soft) = (gain_between(-200.0, at(0.1)), gain_between(at(0.4), at(0.7)));
    assert!(pauses < -3.0, "the quietest tenth changed by {pauses} dB");
    assert!(soft > 3.0, "soft speech changed by {soft} dB");
}

fn rms_db(samples: &[f32]) -> f32 {
    let power = samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32;
    10.0 * (power + 1e-12).log10()
}
