"""What the machine does to latency by itself: how often a core that runs nothing but this stops, and what a server would
make of that which serves each packet in the time that the bare loop needs and does nothing else.

Run by itself it prints JSON: stalls.py SECONDS PACKETS_A_SECOND MICROSECONDS_A_PACKET."""

import json
import sys
import time

# Shorter stops are within what a packet takes.
STALL_S = 0.0005


def watch(seconds: float) -> list[tuple[float, float]]:
    """The stops of this core, each with its begin and its end, in seconds from now."""
    stalls = []
    start = last = time.perf_counter()
    while last - start < seconds:
        now = time.perf_counter()
        if now - last > STALL_S:
            stalls.append((last - start, now - start))
        last = now
    return stalls


def ideal_latencies(stalls: list[tuple[float, float]], seconds: float, rate: float, service: float) -> list[float]:
    """How long packets take that come evenly spaced, are served one after the other in `service` seconds each, and not
    while the core stands still. In ascending order."""
    latencies, free, at = [], 0.0, 0
    for number in range(int(seconds * rate)):
        came = number / rate
        begins = max(came, free)
        done = begins + service
        # of a stop it has to sit out what is left of it
        while at < len(stalls) and stalls[at][0] < done:
            begin, end = stalls[at]
            done += max(0.0, end - max(begin, begins))
            at += 1
        latencies.append(done - came)
        free = done
    return sorted(latencies)


def summary(stalls: list[tuple[float, float]], seconds: float, rate: float, service: float) -> dict:
    """What is reported."""
    latencies = ideal_latencies(stalls, seconds, rate, service)
    lengths = [end - begin for begin, end in stalls]
    share = lambda part: latencies[min(len(latencies) - 1, int(part * len(latencies)))] * 1e3
    return {
        "stalls": len(stalls),
        "stalled_share": sum(lengths) / seconds,
        "longest_stall_ms": max(lengths, default=0.0) * 1e3,
        "p50_ms": share(0.5),
        "p99_ms": share(0.99),
    }


if __name__ == "__main__":
    lasts, per_second, micros = map(float, sys.argv[1:])
    print(json.dumps(summary(watch(lasts), lasts, per_second, micros / 1e6)))
