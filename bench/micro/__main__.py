"""Measures the parts by themselves, each beside what people would pick instead: `make bench-micro`, or

    python3 bench/micro [--quick] [--rounds 3] [--publish]

It runs the benchmarks of bench/benches with cargo, all of them once a round, and makes one table of the medians. Results
go to target/bench: micro.json and micro.md; --publish puts them into bench/RESULTS.md as well. The exit code is 1 if a
benchmark failed, or if what was measured and the rows of the table are not the same.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "compare"))

import programs  # noqa: E402
import report  # noqa: E402
from measure import medians  # noqa: E402
from parse import of_divan, of_waiters  # noqa: E402

BEGIN, END = "<!-- micro: written by bench/micro -->", "<!-- end:micro -->"
CARGO = [os.environ.get("CARGO", "cargo"), "bench", "--locked", "-p", "sandpool-bench"]

# What each benchmark is run with; with --quick so that it is seen to work, and no more.
RUNS = {"pool": [], "context": [], "spawn": [], "watchdog": [], "audio": ["sandbox_reset", "sandbox_new"], "waiters": []}
QUICK = {name: ["--quick"] if name == "waiters" else ["--sample-count", "3"] for name in RUNS}

POOLS = {
    "sandpool": "**sandpool**",
    "deadpool": "deadpool",
    "deadpool_unmanaged": "deadpool, unmanaged",
    "object_pool": "object-pool",
    "crossbeam_channel": "crossbeam channel",
    "mutexed_stack": "mutexed stack",
}


def pools(sandbox: str, users: str) -> dict[str, str]:
    """The rows of a part that all pools have."""
    return {f"pool/{name}/{sandbox}/{users}": whose for name, whose in POOLS.items()}


# Each part's rows, by where they are in the benchmarks' output; the first one is what its ratios are to.
PARTS = {
    "checkout + return, empty reset, uncontended": {
        **pools("Nothing", "One"),
        "pool/sandpool/NothingDeep/One": "sandpool, reset on the deep stack",
    },
    "checkout + return, empty reset, contended": {
        **pools("Nothing", "OnePerWorker"),
        "pool/sandpool/NothingDeep/OnePerWorker": "sandpool, reset on the deep stack",
    },
    "checkout + return, audio sandbox, uncontended": pools("AudioSandbox", "One"),
    "checkout + return, audio sandbox, contended": pools("AudioSandbox", "OnePerWorker"),
    "a coroutine for each checkout": {
        "pool/a_thousand_coroutines": "**sandpool**",
        "pool/a_thousand_coroutines_without_a_pool": "without a pool",
    },
    "audio sandbox": {
        "audio/sandbox_reset_after_a_packet": "**reset**, after a packet",
        "audio/sandbox_reset_untouched": "**reset**, nothing done with it",
        "audio/sandbox_new": "built anew, in memory just used",
    },
    "context get": {
        "context/get": "**sandpool**",
        "context/with": "without a copy",
        "context/coroutine_id": "the coroutine's id, for comparison",
    },
    "context set": {"context/set": "**sandpool**"},
    "spawn + join": {
        "spawn/spawn_here_and_join": "**sandpool**, `spawn_here`",
        "spawn/spawn_on_and_join": "**sandpool**, `spawn_on`",
        "spawn/may_go_and_join": "may's bare coroutine",
        "spawn/tokio_spawn_and_join": "tokio's task",
        "spawn/thread_spawn_and_join": "thread",
    },
    "deep-stack call": {
        "spawn/deep_stack_call": "**sandpool**",
        "spawn/deep_stack_call_with_scratch": "with the worker's scratch",
        "spawn/yield_now": "a yield, for comparison",
    },
    "watchdog begin + end": {
        "watchdog/begin_and_end": "**sandpool**",
        "watchdog/begin_and_end_on_all_workers": "on all workers at once",
        "watchdog/begin_and_end_beside_a_thousand": "beside a thousand others",
    },
}

# Beneath `waiters`, each way of holding an object is a part with the same rows.
WAITERS = {
    "sandpool": "**sandpool**",
    "deadpool": "deadpool",
    "object-pool": "object-pool",
    "crossbeam channel": "crossbeam channel",
    "crossbeam channel, threads": "crossbeam channel, on threads",
    "mutexed stack": "mutexed stack",
    "mutexed stack, threads": "mutexed stack, on threads",
}
for held in ("a yield", "20 us of work", "1 ms of waiting", "an Opus packet"):
    PARTS[f"20 want each, held for {held}"] = {f"waiters/{held}/{name}": whose for name, whose in WAITERS.items()}

def command(name: str, quick: bool) -> list[str]:
    """How benchmark `name` is run."""
    words = [*RUNS[name], *(QUICK[name] if quick else [])]
    return [*CARGO, "--bench", name, *(["--", *words] if words else [])]


def measure(name: str, quick: bool) -> dict[str, dict[str, float]]:
    """Runs one benchmark."""
    run = subprocess.run(command(name, quick), cwd=programs.ROOT, capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(f"{name}: {run.stderr.strip()}")
    return (of_waiters if name == "waiters" else of_divan)(run.stdout)


def time_of(nanos: float) -> str:
    """With three digits."""
    for unit, one in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if nanos >= one:
            return f"{digits(nanos / one)} {unit}"
    return f"{digits(nanos)} ns"


def digits(value: float) -> str:
    """With three digits, or more before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def ratio(value: float, base: float) -> str:
    """How much longer than `base`, which may be too short to be told from nothing."""
    return "" if base == 0 else "< 0.01" if value / base < 0.01 else digits(value / base)


def table(figures: dict[str, dict[str, float]]) -> str:
    """Everything that was measured, in one table of Markdown."""
    out = [
        "| part | whose | median | ratio | p99 | p99.99 | ratio | p99.99 / median | checkouts a second |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for part, rows in PARTS.items():
        measured = [figures[path] for path in rows if path in figures]
        for path, whose in rows.items():
            row = figures.get(path)
            if row is None:
                continue
            base = measured[0]
            cells = [part, whose, time_of(row["median_ns"]), ratio(row["median_ns"], base["median_ns"])]
            if "p9999_ns" in row:
                cells += [time_of(row["p99_ns"]), time_of(row["p9999_ns"]), ratio(row["p9999_ns"], base["p9999_ns"])]
                cells += [ratio(row["p9999_ns"], row["median_ns"]), f"{row['per_second']:,.0f}"]
            else:
                cells += [""] * 5
            out.append("| " + " | ".join(cells) + " |")
    out += [
        "",
        "Ratios are to the first row of the same part: above 1 is slower than that. Contended means one user of the same pool on "
        "each worker; its time is the time that all took over the operations of all. Where 20 want each object, a time is that "
        "from the wish to the object: who is unfair has a short median and a long tail. Held for an Opus packet it is an audio sandbox that processes one, and is "
        "reset on its way back; else its reset is empty. Checkouts a second are those of all together.",
    ]
    return "\n".join(out) + "\n"


def publish(results: Path, text: str, about: dict, commands: list[str]) -> None:
    """Puts the table into RESULTS.md, between its marks."""
    before, rest = results.read_text().split(BEGIN)
    after = rest.split(END)[1]
    parts = [BEGIN, report.header(about, report.rounds_of(about["rounds"])), text.strip(), report.details(commands), END]
    results.write_text(before + "\n\n".join(parts) + after)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/micro", description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="some seconds, to see that it works; not for publishing")
    parser.add_argument("--rounds", type=int, help="how often each is measured; medians are told (default: 3, quick: 1)")
    parser.add_argument("--out", type=Path, default=programs.BUILT.parent / "bench")
    parser.add_argument("--publish", action="store_true", help="puts the table into bench/RESULTS.md")
    options = parser.parse_args()
    rounds = (1 if options.quick else 3) if options.rounds is None else options.rounds
    if rounds < 1 or (options.quick and options.publish):
        parser.error("--rounds is at least 1, and what --quick measures is not worth publishing")

    say = lambda text: print(text, flush=True)
    about = {**report.machine(), "rounds": rounds}
    report.warn_if_busy(about, say)
    names = [word for name in RUNS for word in ("--bench", name)]
    if subprocess.run([*CARGO, "--no-run", *names], cwd=programs.ROOT, check=False).returncode:
        return 1
    began = time.monotonic()
    measured: dict[str, list[dict]] = {}
    failures: list[str] = []
    for number in range(rounds):
        for name in RUNS:
            # it has rounds of its own
            if name == "waiters" and number > 0:
                continue
            say(f"round {number + 1} of {rounds}: {name}")
            try:
                for path, figures in measure(name, options.quick).items():
                    measured.setdefault(path, []).append(figures)
            except (RuntimeError, ValueError) as error:
                failures.append(str(error))
    wanted = {path for rows in PARTS.values() for path in rows}
    failures += [f"not measured: {path}" for path in sorted(wanted - set(measured))]
    failures += [f"measured, but in no row: {path}" for path in sorted(set(measured) - wanted)]

    figures = {path: medians(of_one) for path, of_one in measured.items()}
    text = table(figures)
    options.out.mkdir(parents=True, exist_ok=True)
    everything = {"machine": about, "failures": failures, "figures": figures}
    (options.out / "micro.json").write_text(json.dumps(everything, indent=1) + "\n")
    (options.out / "micro.md").write_text(text)
    say("\n" + text)
    say(f"{time.monotonic() - began:.0f} s; results in {options.out}")
    for failure in failures:
        say(f"FAILED: {failure}")
    if options.publish and not failures:
        commands = [" ".join(command(name, options.quick)) for name in RUNS]
        publish(programs.ROOT / "bench" / "RESULTS.md", text, about, commands)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
