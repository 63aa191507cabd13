//! The report for programs. Times are in seconds, memory is in bytes.

use serde_json::{json, Map, Value};

use super::text::per_second;
use super::Evenness;
use crate::histogram::Latencies;
use crate::plan::{Mode, Plan, Work};
use crate::run::Outcome;
use crate::totals::{Fault, Problem};

/// The report as one JSON object, in lines.
pub fn report(plan: &Plan, outcome: &Outcome) -> String {
    let totals = &outcome.totals;
    let faults: Map<String, Value> = Fault::ALL
        .iter()
        .zip(totals.faults)
        .map(|((_, name), count)| (name.replace(' ', "_"), json!(count)))
        .collect();
    let even = Evenness::of(totals);
    let socket_errors = json!({
        "connect": totals.count(Problem::Connect),
        "read": totals.count(Problem::Read),
        "write": totals.count(Problem::Write),
        "timeout": totals.count(Problem::Timeout),
        "first": totals.first_problem,
    });
    let oldest_seconds = totals.oldest_under_way as f64 / 1e9;
    let under_way = json!({ "count": totals.under_way, "oldest_seconds": oldest_seconds });
    let resident = outcome
        .resident
        .map(|[before, with_all, end]| json!({ "before": before, "with_all": with_all, "end": end }));
    let value = json!({
        "url": plan.target.url,
        "mode": match plan.mode {
            Mode::Stream => "stream",
            Mode::Hold => "hold",
            Mode::Handshakes => "handshakes",
            Mode::AtOnce => "at_once",
        },
        "work": match plan.work {
            Work::Http => json!("http"),
            Work::Echo(bytes) => json!({ "echo": bytes }),
            Work::Opus => json!("opus"),
        },
        "threads": plan.threads,
        "connections": plan.connections,
        "rate": plan.rate,
        "in_flight": plan.in_flight,
        "seconds": outcome.elapsed.as_secs_f64(),
        "ramp_seconds": outcome.ramp.as_secs_f64(),
        "interrupted": outcome.interrupted,
        "opened": totals.open,
        "open_at_end": totals.open_at_end,
        "lost": totals.lost,
        "answers": totals.answers,
        "answers_per_second": per_second(totals.answers, outcome.elapsed),
        "bytes_read": totals.bytes_read,
        "latency": latencies(&totals.latencies),
        "latency_since_sent": latencies(&totals.since_sent),
        "tool_late": latencies(&totals.tool_late),
        "handshakes": totals.handshakes.count(),
        "handshakes_per_second": plan.is_about_handshakes().then(|| per_second(totals.handshakes.count(), outcome.elapsed)),
        "handshake_latency": latencies(&totals.handshakes),
        "answers_a_connection": even.map(|even| json!({ "least": even.least, "median": even.median, "most": even.most })),
        "socket_errors": socket_errors,
        "bad_statuses": totals.bad_statuses,
        "refused": totals.refused,
        "first_refusal": totals.first_refusal,
        "unanswered": totals.unanswered,
        "missed": totals.missed,
        "under_way_at_end": under_way,
        "connections_without_answer": (plan.mode == Mode::Stream).then(|| totals.without_answer()),
        "wrong": totals.wrong(),
        "faults": faults,
        "first_fault": totals.first_fault,
        "decoded": totals.decoded,
        "recognised": totals.recognised,
        "tool_cpu_seconds": outcome.tool_cpu_seconds,
        "watched_cpu_seconds": outcome.cpu_seconds,
        "resident_bytes": resident,
    });
    format!("{value:#}\n")
}

fn latencies(latencies: &Latencies) -> Value {
    let seconds = |nanos: f64| nanos / 1e9;
    let at = |quantile| seconds(latencies.at(quantile) as f64);
    json!({
        "count": latencies.count(),
        "mean": seconds(latencies.mean()),
        "stdev": seconds(latencies.stdev()),
        "p50": at(0.5),
        "p75": at(0.75),
        "p90": at(0.9),
        "p99": at(0.99),
        "p99_9": at(0.999),
        "p99_99": at(0.9999),
        "p99_999": at(0.99999),
        "max": seconds(latencies.max() as f64),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::plan::tests::wishes;
    use crate::totals::Totals;

    #[test]
    fn it_is_json_with_times_in_seconds() {
        let plan = Plan::new(wishes("ws://127.0.0.1:1/echo")).unwrap();
        let mut totals = Totals { answers: 10, per_connection: vec![10, 0], ..Totals::default() };
        (totals.under_way, totals.oldest_under_way, totals.bad_statuses) = (2, 1_500_000_000, 4);
        (0..10).for_each(|_| totals.latencies.record(2_000_000));
        totals.fault(Fault::OtherClient, || "x".into());
        let resident = Some([1, 2, 3]);
        let elapsed = Duration::from_secs(2);
        let outcome = Outcome {
            mode: plan.mode,
            totals,
            elapsed,
            ramp: Duration::ZERO,
            interrupted: false,
            resident,
            cpu_seconds: Some(0.5),
            tool_cpu_seconds: 1.5,
        };
        let value: Value = serde_json::from_str(&report(&plan, &outcome)).unwrap();
        assert_eq!(value["answers_per_second"], 5.0);
        assert!((value["latency"]["p99"].as_f64().unwrap() - 0.002).abs() < 1e-5, "{value}");
        assert_eq!(value["faults"]["other_client"], 1);
        assert_eq!(value["work"]["echo"], 128);
        assert_eq!(value["resident_bytes"]["end"], 3);
        assert_eq!((&value["watched_cpu_seconds"], &value["tool_cpu_seconds"]), (&json!(0.5), &json!(1.5)));
        assert_eq!(value["under_way_at_end"], json!({ "count": 2, "oldest_seconds": 1.5 }));
        assert_eq!((&value["connections_without_answer"], &value["bad_statuses"]), (&json!(1), &json!(4)));
        assert_eq!(value["rate"], Value::Null);
    }
}
