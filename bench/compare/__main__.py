"""Measures sandpool and its peers in one run, on the same cores and in turn: `make bench`, or

    python3 bench/compare [--quick] [--only audio,echo] [--rounds 3] [--workers 2] [--publish]

The servers are pinned to the first core (or as many as --workers), the load to the last one. Everything has to be
built: `make bench` does that. Results go to target/bench: results.json, table.md and plots; --publish puts them into
bench/RESULTS.md as well. The exit code is 1 if anything that came back was wrong, or a measurement failed.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import programs  # noqa: E402
import report  # noqa: E402
import scenarios  # noqa: E402
from measure import Bench  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/compare", description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few minutes, with fewer points")
    parser.add_argument("--only", default=",".join(scenarios.USUAL), help="some of: %(default)s; soak is ten minutes more")
    parser.add_argument("--rounds", type=int, default=1, help="how often each is measured; medians are told")
    parser.add_argument("--workers", type=int, default=1, help="workers, and cores, of each server")
    parser.add_argument("--out", type=Path, default=programs.BUILT.parent / "bench")
    parser.add_argument("--publish", action="store_true", help="puts the figures into bench/RESULTS.md")
    options = parser.parse_args()
    chosen = options.only.split(",")
    unknown = sorted(set(chosen) - set(scenarios.ALL))
    if unknown or options.rounds < 1 or options.workers < 1:
        parser.error(f"--only takes some of {', '.join(scenarios.ALL)}; --rounds and --workers are at least 1: {unknown}")

    cores = programs.Cores(options.workers)
    about = {**report.machine(), "workers": options.workers, "rounds": options.rounds, "shared_core": cores.shared}
    say = lambda text: print(text, flush=True)
    say(f"servers on cores {cores.server}, load on core {cores.load}")
    if about["load_average"][0] > 0.5:
        say(f"this machine is busy (load average {about['load_average'][0]:.1f}): only ratios of a run mean anything")
    bench = Bench(cores, options.workers, options.rounds, say)
    began = time.monotonic()
    times = scenarios.Times(options.quick)
    try:
        for name, scenario in scenarios.ALL.items():
            if name in chosen:
                scenario(bench, times)
    except KeyboardInterrupt:
        bench.failures.append("interrupted")
    report.write(options.out, bench.rows, bench.failures, about)
    if options.publish:
        report.publish(programs.ROOT / "bench" / "RESULTS.md", bench.rows, bench.failures, about)
    say("\n" + report.table(bench.rows))
    say(f"{time.monotonic() - began:.0f} s; results in {options.out}")
    for failure in bench.failures:
        say(f"FAILED: {failure}")
    return 1 if bench.failures else 0


if __name__ == "__main__":
    sys.exit(main())
