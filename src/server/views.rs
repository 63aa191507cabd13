//! What the server says about itself.

use serde_json::{json, Value};

use super::app::State;
use crate::net::http::Response;
use crate::net::FrontStatus;
use crate::observe::{figures, Exposition, CONTENT_TYPE};
use crate::runtime::{coroutine_count, PoolStatus};

/// `/` and `/status`: is it well, in one screen.
pub(super) fn status(state: &State) -> Response {
    let pool = state.pool.status();
    answer(json!({
        "service": "sandpool",
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": state.started.elapsed().as_secs_f64(),
        "connections": state.front_status().connections,
        "pool": {
            "capacity": pool.capacity,
            "size": pool.size,
            "idle": pool.idle,
            "leased": pool.leased,
            "resetting": pool.resetting,
            "building": pool.building,
            "waiting": pool.waiting,
            "created": pool.created,
            "discarded": pool.discarded,
            "timed_out": pool.timed_out,
        },
        "totals": state.sessions.totals().view(),
        "endpoints": ["/", "/status", "/stats", "/health", "/ready", "/metrics", "/sleep?ms=", "/echo", "/process"],
    }))
}

/// `/stats`: what is going on, in detail.
pub(super) fn stats(state: &State) -> Response {
    /// So many of the longest-held leases and longest-running requests are listed.
    const LISTED: usize = 20;
    let mut leases = state.pool.leases();
    leases.sort_by_key(|lease| lease.since);
    let mut running = state.watchdog.running();
    running.sort_by_key(|entry| std::cmp::Reverse(entry.age));
    let leases: Vec<Value> = leases
        .iter()
        .take(LISTED)
        .map(|lease| {
            json!({
                "lease": lease.id.to_string(),
                "coroutine": lease.coroutine.to_string(),
                "worker": lease.worker.map(|worker| worker.index()),
                "held_seconds": lease.since.elapsed().as_secs_f64(),
                "unused_seconds": lease.used.elapsed().as_secs_f64(),
            })
        })
        .collect();
    let running: Vec<Value> = running
        .iter()
        .take(LISTED)
        .map(|entry| {
            json!({
                "coroutine": entry.coroutine.to_string(),
                "what": entry.what.as_str(),
                "worker": entry.worker.map(|worker| worker.index()),
                "running_seconds": entry.age.as_secs_f64(),
            })
        })
        .collect();
    let stalled: Vec<usize> = state.watchdog.stalled().iter().map(|stall| stall.worker.index()).collect();
    answer(json!({
        "uptime_seconds": state.started.elapsed().as_secs_f64(),
        "connections": state.front_status().connections,
        "worker_concurrency": state.watchdog.worker_concurrency(),
        "stalled_workers": stalled,
        "pool": state.pool.status(),
        "oldest_leases": leases,
        "longest_running": running,
        "totals": state.sessions.totals().view(),
    }))
}

/// `/health`: the process answers.
pub(super) fn health(_: &State) -> Response {
    Response::text(200, "OK")
}

/// `/ready`: whether to send it traffic, and if not, why not.
pub(super) fn ready(state: &State) -> Response {
    let reasons = state.unready();
    if reasons.is_empty() {
        return Response::text(200, "ready\n");
    }
    let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
    Response::text(503, format!("not ready: {}\n", reasons.join("; ")))
}

/// `/metrics`: everything that is counted, for Prometheus.
pub(super) fn metrics(state: &State) -> Response {
    let mut page = Exposition::new();
    page.gauge("sandpool_uptime_seconds", "Since the server started.", state.started.elapsed().as_secs_f64());
    page.gauge("sandpool_ready", "1 when it should get traffic.", u8::from(state.unready().is_empty()));
    page.gauge(
        "sandpool_connections",
        "Connections to the public listener.",
        state.front_status().connections,
    );
    page.gauge("sandpool_coroutines", "Coroutines that have not ended.", coroutine_count());
    figures::requests(&mut page, &state.requests);
    front_metrics(&mut page, &state.front_status());
    figures::watchdog(&mut page, &state.watchdog);
    pool_metrics(&mut page, &state.pool.status());
    let totals = state.sessions.totals().view();
    page.counter("sandpool_sessions_total", "Audio sessions begun.", totals.sessions);
    page.counter("sandpool_packets_total", "Packets answered with a packet.", totals.frames);
    page.counter("sandpool_packet_errors_total", "Packets answered with an error.", totals.errors);
    page.counter("sandpool_packet_bytes_in_total", "Bytes of all packets that came.", totals.bytes_in);
    page.counter("sandpool_packet_bytes_out_total", "Bytes of all packets that went.", totals.bytes_out);
    page.counter("sandpool_processing_seconds_total", "Time spent on packets.", totals.processing_seconds);
    figures::process(&mut page);
    Response::bytes(200, CONTENT_TYPE, page.finish())
}

fn front_metrics(page: &mut Exposition, front: &FrontStatus) {
    page.gauge("sandpool_connections_driven", "Connections that have a coroutine just now.", front.driven);
    page.gauge(
        "sandpool_http_requests_in_flight",
        "Requests whose coroutine has not ended.",
        front.in_flight,
    );
    page.gauge(
        "sandpool_buffered_bytes",
        "Bytes of bodies and of large answers and messages that are held or reserved just now.",
        front.buffered_bytes,
    );
    page.counter("sandpool_connections_accepted_total", "Connections accepted.", front.accepted);
    page.counter("sandpool_connections_refused_total", "Connections over the maximum.", front.refused);
    page.counter("sandpool_http_rejected_total", "Requests that could not be read.", front.rejected_requests);
    page.counter("sandpool_http_failed_total", "Requests whose handler failed.", front.failed_requests);
    page.counter("sandpool_http_expired_total", "Requests past their hard limit.", front.expired_requests);
    page.counter("sandpool_websockets_total", "Connections that became WebSockets.", front.upgrades);
}

fn pool_metrics(page: &mut Exposition, pool: &PoolStatus) {
    page.gauge("sandpool_pool_capacity", "The most sandboxes there can be.", pool.capacity);
    let states = [
        ("idle", pool.idle),
        ("leased", pool.leased),
        ("resetting", pool.resetting),
        ("building", pool.building),
    ];
    page.gauges("sandpool_pool_sandboxes", "Sandboxes, by what becomes of them.", "state", states);
    page.gauge("sandpool_pool_waiting", "Checkouts that wait.", pool.waiting);
    page.counter("sandpool_pool_checkouts_total", "Leases given.", pool.checkouts);
    page.counter("sandpool_pool_created_total", "Sandboxes built.", pool.created);
    page.counter("sandpool_pool_discarded_total", "Sandboxes that could not be lent again.", pool.discarded);
    page.counter("sandpool_pool_retired_total", "Sound sandboxes that were given up.", pool.retired);
    page.counter("sandpool_pool_build_failures_total", "Builds that failed.", pool.build_failures);
    page.gauge("sandpool_pool_closed", "1 when it lends nothing any more.", u8::from(pool.closed));
    page.counter("sandpool_pool_timed_out_total", "Checkouts that waited in vain.", pool.timed_out);
    page.counter("sandpool_pool_rejected_total", "Checkouts turned away from a full line.", pool.rejected);
    page.counter("sandpool_pool_leaked_total", "Leases reported as held too long.", pool.leaked);
    let wait = &pool.wait_time;
    let quantiles =
        [("0.5", wait.p50_us), ("0.9", wait.p90_us), ("0.99", wait.p99_us), ("0.999", wait.p999_us)];
    page.gauges(
        "sandpool_pool_wait_microseconds",
        "How long checkouts waited that had to wait.",
        "quantile",
        quantiles,
    );
}

fn answer(body: Value) -> Response {
    Response::json(200, format!("{body:#}\n"))
}
