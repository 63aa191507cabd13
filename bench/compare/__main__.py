"""Measures sandpool and its peers in one run, on the same cores and in turn: `make bench`, or

    python3 bench/compare [--quick] [--only audio,echo] [--rounds 3] [--workers 2] [--publish [--name NAME]]

The servers are pinned to the first core (or as many as --workers), the load to the last one. Everything has to be
built: `make bench` does that. Results go to target/bench: results.json, table.md and plots; --publish puts them into
bench/RESULTS.md as well, each kind of run into a block of its own: one-worker, two-workers, soak, or --name. The exit code
is 1 if anything that came back was wrong or no success, a connection broke, or a measurement failed, and 130 if it was
interrupted.
"""

import argparse
import re
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import programs  # noqa: E402
import report  # noqa: E402
import scenarios  # noqa: E402
from measure import PROBLEMS, Bench  # noqa: E402

INTERRUPTED = "interrupted"


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/compare", description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few minutes, with fewer points")
    parser.add_argument(
        "--only",
        help=f"some of: {','.join(scenarios.USUAL)}; soak is ten minutes more. Unless named, several workers are measured "
        f"with few points of {','.join(scenarios.SCALING)}",
    )
    parser.add_argument("--rounds", type=int, default=1, help="how often each is measured; medians are told")
    parser.add_argument("--workers", type=int, default=1, help="workers, and cores, of each server")
    parser.add_argument("--out", type=Path, default=programs.BUILT.parent / "bench")
    parser.add_argument("--publish", action="store_true", help="puts the figures into bench/RESULTS.md")
    parser.add_argument("--name", help="the block of RESULTS.md that they replace (default: after the workers, or soak)")
    options = parser.parse_args()
    usual = scenarios.USUAL if options.workers == 1 else scenarios.SCALING
    chosen = options.only.split(",") if options.only else usual
    unknown = sorted(set(chosen) - set(scenarios.ALL))
    if unknown or options.rounds < 1 or options.workers < 1:
        parser.error(f"--only takes some of {', '.join(scenarios.ALL)}; --rounds and --workers are at least 1: {unknown}")

    if options.name and not re.fullmatch(r"[a-z0-9-]+", options.name):
        parser.error(f"--name {options.name!r} is not accepted: small letters, digits and hyphens are")

    files = programs.raise_file_limit()
    cores = programs.Cores(options.workers)
    about = {**report.machine(), "workers": options.workers, "rounds": options.rounds, "shared_core": cores.shared}
    say = lambda text: print(text, flush=True)
    say(f"servers on cores {cores.server}, load on core {cores.load}")
    if files < programs.MOST_CONNECTIONS:
        say(f"a process may open {files} files here, which is too few for the most connections that are measured")
    report.warn_if_busy(about, say)
    bench = Bench(cores, options.workers, options.rounds, say)
    began = time.monotonic()
    times = scenarios.Times(options.quick, few=options.workers > 1 and not options.only)
    try:
        for name, scenario in scenarios.ALL.items():
            if name in chosen:
                try:
                    scenario(bench, times)
                except PROBLEMS as error:
                    bench.failures.append(f"{name}: {error}")
    except KeyboardInterrupt:
        bench.failures.append(INTERRUPTED)
    report.write(options.out, bench.rows, bench.failures, about)
    if options.publish:
        report.publish(programs.ROOT / "bench" / "RESULTS.md", options.name, bench.rows, bench.failures, about)
    say("\n" + report.table(bench.rows))
    say(f"{time.monotonic() - began:.0f} s; results in {options.out}")
    for failure in bench.failures:
        say(f"FAILED: {failure}")
    return 130 if INTERRUPTED in bench.failures else 1 if bench.failures else 0


if __name__ == "__main__":
    sys.exit(main())
