//! wrk's report, and below it what wrk does not know of.

use std::fmt::{self, Write};
use std::time::Duration;

use super::Evenness;
use crate::histogram::Latencies;
use crate::plan::{Mode, Plan, Work};
use crate::run::Outcome;
use crate::totals::{Fault, Problem, Totals};
use crate::units::{aligned, binary, metric, run_length, time};

/// The quantiles of the distribution: wrk's, and beyond 99 % wrk2's.
const QUANTILES: [(&str, f64); 8] = [
    ("50%", 0.5),
    ("75%", 0.75),
    ("90%", 0.9),
    ("99%", 0.99),
    ("99.9%", 0.999),
    ("99.99%", 0.9999),
    ("99.999%", 0.99999),
    ("100%", 1.0),
];

/// The lines that are printed when a run begins.
pub fn heading(plan: &Plan) -> String {
    let what = match plan.mode {
        Mode::Stream => "test",
        Mode::Hold => "of idle connections",
        Mode::Handshakes => "of handshakes",
        Mode::AtOnce => "at most, all handshakes at once,",
    };
    let length = run_length(plan.duration);
    let rate = plan.rate.map_or(String::new(), |rate| format!(", {} messages/s", metric(rate)));
    let sent = match plan.work {
        Work::Http => String::new(),
        Work::Echo(bytes) => format!(", echo of {bytes} bytes"),
        Work::Opus => ", Opus packets of 20 ms".to_owned(),
    };
    format!(
        "Running {length} {what} @ {}\n  {} threads and {} connections{rate}{sent}\n",
        plan.target.url, plan.threads, plan.connections
    )
}

/// The report; `distribution`: with the latency distribution, `since_sent`: also from when messages were sent.
pub fn report(plan: &Plan, outcome: &Outcome, distribution: bool, since_sent: bool) -> String {
    let mut out = String::new();
    // a String takes everything
    let _ = write_report(&mut out, plan, outcome, distribution, since_sent);
    out
}

fn write_report(
    out: &mut String,
    plan: &Plan,
    outcome: &Outcome,
    distribution: bool,
    since_sent: bool,
) -> fmt::Result {
    let totals = &outcome.totals;
    if plan.is_about_handshakes() {
        write_handshakes(out, plan, outcome)?;
    } else {
        write_messages(out, plan, outcome, distribution, since_sent)?;
    }
    write_processes(out, plan, outcome)?;
    let problems =
        [Problem::Connect, Problem::Read, Problem::Write, Problem::Timeout].map(|one| totals.count(one));
    if problems.iter().any(|&count| count > 0) {
        let [connect, read, write, timeout] = problems;
        writeln!(out, "  Socket errors: connect {connect}, read {read}, write {write}, timeout {timeout}")?;
        if let Some(first) = &totals.first_problem {
            writeln!(out, "    the first: {first}")?;
        }
    }
    if totals.bad_statuses > 0 {
        writeln!(out, "  Non-2xx or 3xx responses: {}", totals.bad_statuses)?;
    }
    if totals.refused > 0 {
        writeln!(out, "  Refused by the server: {}", totals.refused)?;
        writeln!(out, "    the first: {}", totals.first_refusal.as_deref().unwrap_or(""))?;
    }
    write_faults(out, totals)?;
    if plan.is_about_handshakes() {
        writeln!(out, "Handshakes/sec: {:9.2}", per_second(totals.handshakes.count(), outcome.elapsed))?;
    } else if plan.mode != Mode::Hold {
        writeln!(out, "Requests/sec: {:9.2}", per_second(totals.answers, outcome.elapsed))?;
        let bytes = totals.bytes_read as f64 / outcome.elapsed.as_secs_f64().max(1e-9);
        writeln!(out, "Transfer/sec: {:>11}", binary(bytes))?;
    }
    if outcome.interrupted {
        writeln!(out, "Interrupted: this is the report so far")?;
    }
    Ok(())
}

fn write_messages(
    out: &mut String,
    plan: &Plan,
    outcome: &Outcome,
    distribution: bool,
    since_sent: bool,
) -> fmt::Result {
    let totals = &outcome.totals;
    writeln!(out, "  Thread Stats   Avg      Stdev     Max   +/- Stdev")?;
    write_stats(out, "Latency", &totals.latencies)?;
    if plan.mode == Mode::Stream {
        write_rates(out, &totals.rates)?;
    }
    if distribution {
        writeln!(out, "  Latency Distribution")?;
        write_distribution(out, &totals.latencies)?;
    }
    if since_sent {
        writeln!(out, "  Latency Distribution, from when messages were sent")?;
        write_distribution(out, &totals.since_sent)?;
    }
    let (elapsed, read) = (time(outcome.elapsed.as_nanos() as f64), binary(totals.bytes_read as f64));
    if plan.mode == Mode::Hold {
        writeln!(out, "  {} connections held for {elapsed}, {} of them lost", totals.open, totals.lost)?;
    } else {
        writeln!(out, "  {} requests in {elapsed}, {read} read", totals.answers)?;
    }
    let (all, at_end) = (plan.connections, totals.open_at_end);
    writeln!(
        out,
        "  Opened {} of {all} connections in {:.2?}; {at_end} of {all} open at the end",
        totals.open, outcome.ramp
    )?;
    if plan.rate.is_some() {
        let late = &totals.tool_late;
        writeln!(
            out,
            "  Open loop: this tool was late by 99% {}, max {}; unanswered {}, missed {}",
            time(late.at(0.99) as f64),
            time(late.max() as f64),
            totals.unanswered,
            totals.missed
        )?;
        if totals.missed > 0 {
            writeln!(
                out,
                "    missed: not sent, the connection was not open; latency and timeout say nothing of them"
            )?;
        }
    } else if plan.mode == Mode::Stream {
        writeln!(
            out,
            "  Under way at the end: {}, the oldest for {}; connections without any answer: {}",
            totals.under_way,
            time(totals.oldest_under_way as f64),
            totals.without_answer()
        )?;
    }
    match Evenness::of(totals) {
        Some(even) if plan.mode == Mode::Stream => {
            writeln!(
                out,
                "  Answers a connection: least {}, median {}, most {}",
                even.least, even.median, even.most
            )
        }
        _ => Ok(()),
    }
}

fn write_handshakes(out: &mut String, plan: &Plan, outcome: &Outcome) -> fmt::Result {
    let handshakes = &outcome.totals.handshakes;
    writeln!(out, "  Thread Stats   Avg      Stdev     Max   +/- Stdev")?;
    write_stats(out, "Handshake", handshakes)?;
    writeln!(out, "  Handshake Distribution")?;
    write_distribution(out, handshakes)?;
    let of = if plan.mode == Mode::AtOnce { format!(" of {}", plan.connections) } else { String::new() };
    writeln!(out, "  {}{of} handshakes in {}", handshakes.count(), time(outcome.elapsed.as_nanos() as f64))
}

fn write_stats(out: &mut String, name: &str, latencies: &Latencies) -> fmt::Result {
    let figures = [latencies.mean(), latencies.stdev(), latencies.max() as f64].map(time);
    write_row(out, name, figures, latencies.within_stdev())
}

fn write_row(out: &mut String, name: &str, [mean, stdev, max]: [String; 3], within: f64) -> fmt::Result {
    let (mean, stdev, max) = (aligned(&mean, 8), aligned(&stdev, 10), aligned(&max, 9));
    writeln!(out, "    {name:<10}{mean}{stdev}{max}{within:8.2}%")
}

fn write_rates(out: &mut String, rates: &[f64]) -> fmt::Result {
    let count = rates.len().max(1) as f64;
    let mean = rates.iter().sum::<f64>() / count;
    let stdev = (rates.iter().map(|rate| (rate - mean).powi(2)).sum::<f64>() / count).sqrt();
    let within = rates.iter().filter(|rate| (*rate - mean).abs() <= stdev).count() as f64 / count * 100.0;
    let max = rates.iter().copied().fold(0.0, f64::max);
    write_row(out, "Req/Sec", [mean, stdev, max].map(metric), within)
}

fn write_distribution(out: &mut String, latencies: &Latencies) -> fmt::Result {
    QUANTILES.iter().try_for_each(|(name, quantile)| {
        writeln!(out, "{name:>8}{}", aligned(&time(latencies.at(*quantile) as f64), 10))
    })
}

fn write_processes(out: &mut String, plan: &Plan, outcome: &Outcome) -> fmt::Result {
    let (totals, tool) = (&outcome.totals, outcome.tool_cpu_seconds);
    let time_of_threads = plan.threads as f64 * outcome.elapsed.as_secs_f64().max(1e-9);
    let share = 100.0 * tool / time_of_threads;
    write!(out, "  Processor time: this tool {tool:.2}s, {share:.0}% of what its threads could have")?;
    if let Some(seconds) = outcome.cpu_seconds {
        write!(out, "; the watched process {seconds:.2}s")?;
    }
    writeln!(out)?;
    let Some([before, with_all, end]) = outcome.resident else { return Ok(()) };
    let each = |bytes: u64, open: u64| {
        if open == 0 {
            return String::new();
        }
        format!(" ({:.0} bytes for each of {open})", (bytes as f64 - before as f64) / open as f64)
    };
    writeln!(
        out,
        "  Resident memory: {} before, {} with all connections{}, {} at the end{}",
        binary(before as f64),
        binary(with_all as f64),
        each(with_all, totals.open),
        binary(end as f64),
        each(end, totals.open_at_end)
    )
}

fn write_faults(out: &mut String, totals: &Totals) -> fmt::Result {
    if totals.decoded > 0 {
        writeln!(
            out,
            "  Decoded: {} answers; voices recognised {} times",
            totals.decoded, totals.recognised
        )?;
    }
    if totals.wrong() == 0 {
        return Ok(());
    }
    let counts = Fault::ALL.iter().zip(totals.faults).filter(|(_, count)| *count > 0);
    let counts: Vec<String> = counts.map(|((_, name), count)| format!("{name} {count}")).collect();
    writeln!(out, "  WRONG answers: {}", counts.join(", "))?;
    writeln!(out, "    the first: {}", totals.first_fault.as_deref().unwrap_or(""))
}

/// How many a second.
pub(super) fn per_second(count: u64, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64().max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::wishes;
    use crate::plan::Wishes;

    fn outcome() -> Outcome {
        let mut totals = Totals { answers: 1000, bytes_read: 2_097_152, open: 10, ..Totals::default() };
        (1..=1000).for_each(|at| totals.latencies.record(at * 1_000));
        totals.rates = vec![400.0, 600.0];
        totals.per_connection = vec![90, 100, 110];
        Outcome {
            mode: Mode::Stream,
            totals,
            elapsed: Duration::from_secs(2),
            ramp: Duration::from_millis(3),
            interrupted: false,
            resident: None,
            cpu_seconds: None,
            tool_cpu_seconds: 1.0,
        }
    }

    fn lines(wishes: Wishes, outcome: &Outcome) -> String {
        let plan = Plan::new(wishes).unwrap();
        heading(&plan) + &report(&plan, outcome, true, false)
    }

    #[test]
    fn the_report_is_wrks() {
        let report = lines(wishes("http://127.0.0.1:1/"), &outcome());
        for line in [
            "Running 10s test @ http://127.0.0.1:1/\n  2 threads and 10 connections\n",
            "  Thread Stats   Avg      Stdev     Max   +/- Stdev\n",
            "  Thread Stats   Avg      Stdev     Max   +/- Stdev\n    Latency   500.50us  288.68us   1.00ms   57.80%",
            "    Req/Sec   500.00    100.00   600.00    100.00%\n",
            "  Latency Distribution\n     50%  500.",
            "     99%  990.",
            " 99.999%    1.00ms\n",
            "  1000 requests in 2.00s, 2.00MB read\n",
            "Requests/sec:    500.00\nTransfer/sec:      1.00MB\n",
            "least 90, median 100, most 110",
            "  Processor time: this tool 1.00s, 25% of what its threads could have\n",
        ] {
            assert!(report.contains(line), "{line:?} in\n{report}");
        }
        for absent in ["Socket errors", "Non-2xx", "WRONG", "Refused", "Interrupted"] {
            assert!(!report.contains(absent), "{absent} in\n{report}");
        }
    }

    #[test]
    fn rows_stand_beneath_the_heads_as_wrks_do() {
        let row = |name, figures: [&str; 3], within| {
            let mut out = String::new();
            write_row(&mut out, name, figures.map(str::to_owned), within).unwrap();
            out
        };
        // lines that wrk 4.1.0 printed
        let latency = row("Latency", ["844.31us", "1.18ms", "13.72ms"], 92.45);
        assert_eq!(latency, "    Latency   844.31us    1.18ms  13.72ms   92.45%\n");
        let rate = row("Req/Sec", ["2.86k", "486.83", "3.65k"], 72.73);
        assert_eq!(rate, "    Req/Sec     2.86k   486.83     3.65k    72.73%\n");
    }

    #[test]
    fn what_went_wrong_is_told() {
        let mut outcome = outcome();
        outcome.totals.problem(Problem::Read, || "reset".into());
        outcome.totals.fault(Fault::OtherClient, || "client 7".into());
        outcome.totals.bad_statuses = 3;
        outcome.interrupted = true;
        let report = lines(wishes("ws://127.0.0.1:1/echo"), &outcome);
        for line in [
            "Socket errors: connect 0, read 1, write 0, timeout 0\n    the first: reset",
            "WRONG answers: other client 1\n    the first: client 7",
            "Non-2xx or 3xx responses: 3",
            "Interrupted",
        ] {
            assert!(report.contains(line), "{line:?} in\n{report}");
        }
        assert!(!outcome.is_right());
    }

    #[test]
    fn an_answer_that_is_no_success_makes_a_run_a_failed_one() {
        assert!(outcome().is_right());
        for spoil in [|totals: &mut Totals| totals.bad_statuses = 1, |totals: &mut Totals| totals.refused = 1]
        {
            let mut outcome = outcome();
            spoil(&mut outcome.totals);
            assert!(!outcome.is_right());
        }
    }

    #[test]
    fn a_run_of_which_nothing_came_is_a_failed_one_whatever_it_has_latencies_of() {
        let of = |mode, done: fn(&mut Totals)| {
            let mut totals = Totals::default();
            done(&mut totals);
            Outcome { mode, totals, ..outcome() }.is_right()
        };
        let opened_and_given_up = |totals: &mut Totals| {
            totals.handshakes.record(1_000);
            totals.latencies.record(1_000_000);
        };
        assert!(!of(Mode::Stream, opened_and_given_up));
        assert!(of(Mode::Stream, |totals| totals.since_sent.record(1_000)), "answered after the end");
        // who is held has had its answer before, and is there still
        assert!(!of(Mode::Hold, |totals| totals.open_at_end = 1));
        assert!(!of(Mode::Hold, |totals| totals.since_sent.record(1_000)));
        assert!(of(Mode::Hold, |totals| {
            totals.since_sent.record(1_000);
            totals.open_at_end = 1;
        }));
        for mode in [Mode::Handshakes, Mode::AtOnce] {
            assert!(of(mode, |totals| totals.handshakes.record(1_000)));
            assert!(!of(mode, |totals| totals.latencies.record(1_000)));
        }
    }

    #[test]
    fn who_waited_in_vain_is_told() {
        let mut outcome = outcome();
        outcome.totals.per_connection = vec![1000, 0, 0];
        (outcome.totals.under_way, outcome.totals.oldest_under_way) = (3, 9_000_000_000);
        let report = lines(wishes("ws://127.0.0.1:1/echo"), &outcome);
        let line = "  Under way at the end: 3, the oldest for 9.00s; connections without any answer: 2\n";
        assert!(report.contains(line), "{report}");
    }

    #[test]
    fn a_server_that_died_can_be_told_from_one_that_answered_everything() {
        let mut outcome = outcome();
        outcome.totals.open_at_end = 0;
        let report = lines(wishes("ws://127.0.0.1:1/echo"), &outcome);
        let line = "  Opened 10 of 10 connections in 3.00ms; 0 of 10 open at the end\n";
        assert!(report.contains(line) && report.contains("Under way at the end: 0"), "{report}");
    }

    #[test]
    fn memory_is_shared_out_among_connections_that_were_open() {
        let mut outcome = outcome();
        (outcome.totals.open, outcome.totals.open_at_end) = (10, 5);
        outcome.resident = Some([10_000, 20_000, 15_000]);
        let report = lines(Wishes { mode: Mode::Hold, ..wishes("ws://127.0.0.1:1/echo") }, &outcome);
        assert!(report.contains("(1000 bytes for each of 10)"), "{report}");
        assert!(report.contains("(1000 bytes for each of 5)"), "{report}");
    }

    #[test]
    fn handshakes_have_a_report_of_their_own() {
        let mut outcome = outcome();
        (0..10).for_each(|_| outcome.totals.handshakes.record(2_000_000));
        let report = lines(Wishes { mode: Mode::AtOnce, ..wishes("ws://127.0.0.1:1/") }, &outcome);
        assert!(report.contains("  10 of 10 handshakes in 2.00s\n"), "{report}");
        assert!(report.contains("Handshakes/sec:      5.00\n"), "{report}");
    }
}
