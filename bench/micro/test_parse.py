"""What is read of the benchmarks' output, on lines that they printed, and the rows for it: `python3 -m unittest discover bench/micro`."""

import importlib.util
import re
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from parse import of_divan, of_waiters  # noqa: E402

TREE = """\
Timer precision: 20 ns
pool                                     fastest       │ slowest       │ median        │ mean          │ samples │ iters
├─ a_thousand_coroutines                 6.41 ms       │ 6.5 ms        │ 6.43 ms       │ 6.45 ms       │ 3       │ 3
│                                        155.9 Kitem/s │ 153.8 Kitem/s │ 155.5 Kitem/s │ 155 Kitem/s   │         │
╰─ sandpool                                            │               │               │               │         │
   ├─ AudioSandbox                                     │               │               │               │         │
   │  ├─ One                             1.793 ms      │ 1.793 ms      │ 1.793 ms      │ 1.793 ms      │ 1       │ 1
   │  │                                  5.574 Mitem/s │ 5.574 Mitem/s │ 5.574 Mitem/s │ 5.574 Mitem/s │         │
   │  ╰─ OnePerWorker                    2.327 ms      │ 2.327 ms      │ 2.327 ms      │ 2.327 ms      │ 1       │ 1
   │                                     4.296 Mitem/s │ 4.296 Mitem/s │ 4.296 Mitem/s │ 4.296 Mitem/s │         │
   ╰─ Nothing                                          │               │               │               │         │
      ╰─ One                             3.8 ms        │ 3.8 ms        │ 3.8 ms        │ 3.8 ms        │ 1       │ 1
                                         13.15 Mitem/s │ 13.15 Mitem/s │ 13.15 Mitem/s │ 13.15 Mitem/s │         │
"""

TIMES = """\
audio                            fastest       │ slowest       │ median        │ mean          │ samples │ iters
├─ sandbox_new                   1.461 µs      │ 281 µs        │ 1.922 µs      │ 94.81 µs      │ 3       │ 3
╰─ sandbox_reset_untouched       101.1 ns      │ 102 ns        │ 101.4 ns      │ 101.5 ns      │ 3       │ 96
"""

WAITS = """\
20 want each object; microseconds until they have it

held for a yield, 8 objects
                                    p50        p99     p99.99        max  p99.99 / p50   a second
sandpool                         112.77    4177.92    4730.88    4730.88          42.0     663130
crossbeam channel, threads         0.04   99745.79  100925.44  100925.44     2523136.0      60770

held for 1 ms of waiting, 64 objects
                                    p50        p99     p99.99        max  p99.99 / p50   a second
sandpool                       24264.70   25444.35   25739.26   25739.26           1.1      57140

held for an Opus packet, 8 objects
                                    p50        p99     p99.99        max  p99.99 / p50   a second
mutexed stack, threads            18.90   50000.00   60000.00   61000.00        3174.6       9500
"""


class Divan(unittest.TestCase):
    def test_each_leaf_of_a_tree_has_the_median_time_of_one_item(self):
        found = {path: round(figures["median_ns"], 1) for path, figures in of_divan(TREE).items()}
        expected = {
            "pool/a_thousand_coroutines": 6430.9,
            "pool/sandpool/AudioSandbox/One": 179.4,
            "pool/sandpool/AudioSandbox/OnePerWorker": 232.8,
            "pool/sandpool/Nothing/One": 76.0,
        }
        self.assertEqual(found, expected)

    def test_where_nothing_is_counted_it_is_the_median_time_itself(self):
        expected = {"audio/sandbox_new": {"median_ns": 1922.0}, "audio/sandbox_reset_untouched": {"median_ns": 101.4}}
        self.assertEqual(of_divan(TIMES), expected)

    def test_a_unit_that_is_not_known_is_no_figure(self):
        with self.assertRaisesRegex(ValueError, "unknown unit.*sandbox_new"):
            of_divan(TIMES.replace("1.922 µs", "1.922 min"))


class Waiters(unittest.TestCase):
    def test_waits_are_told_in_nanoseconds_by_how_an_object_is_held(self):
        found = of_waiters(WAITS)
        self.assertEqual(
            set(found),
            {
                "waiters/a yield/sandpool",
                "waiters/a yield/crossbeam channel, threads",
                "waiters/1 ms of waiting/sandpool",
                "waiters/an Opus packet/mutexed stack, threads",
            },
        )
        rounded = {name: round(value) for name, value in found["waiters/a yield/crossbeam channel, threads"].items()}
        self.assertEqual(rounded, {"median_ns": 40, "p99_ns": 99745790, "p9999_ns": 100925440, "per_second": 60770})

    def test_every_way_of_holding_and_every_pool_of_the_benchmark_has_rows(self):
        spec = importlib.util.spec_from_file_location("micro", HERE / "__main__.py")
        micro = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(micro)
        source = (HERE.parent / "benches" / "waiters.rs").read_text()
        holds = re.findall(r'Hold::\w+ => "(.+)"', source)
        pools = re.findall(r'\("(.+)", of_\w+::<S>\)', source)
        self.assertGreater(len(holds) * len(pools), 20)
        rows = {path for rows in micro.PARTS.values() for path in rows if path.startswith("waiters/")}
        self.assertEqual(rows, {f"waiters/{hold}/{pool}" for hold in holds for pool in pools})


if __name__ == "__main__":
    unittest.main()
