//! What the server says about itself.

use serde_json::{json, Value};

use super::app::State;
use crate::net::http::Response;

/// `/` and `/status`: is it well, in one screen.
pub(super) fn status(state: &State) -> Response {
    let pool = state.pool.status();
    answer(json!({
        "service": "sandpool",
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": state.started.elapsed().as_secs_f64(),
        "connections": state.net.connections(),
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
        "connections": state.net.connections(),
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

fn answer(body: Value) -> Response {
    Response::json(200, format!("{body:#}\n"))
}
