"""What the comparison keeps, notes and publishes: `python3 -m unittest discover bench/compare`."""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent))

import measure  # noqa: E402
import plot  # noqa: E402
import programs  # noqa: E402
import report  # noqa: E402
import scenarios  # noqa: E402
import stalls  # noqa: E402
from measure import Row  # noqa: E402

LATENCY = {"p50": 0.001, "p99": 0.002, "p99_9": 0.003, "max": 0.004}


def of_tool(**others) -> dict:
    """A report of the load tool with nothing to note."""
    return {
        "mode": "stream",
        "work": {"echo": 128},
        "rate": None,
        "threads": 1,
        "connections": 10,
        "seconds": 2.0,
        "ramp_seconds": 0.1,
        "opened": 10,
        "open_at_end": 10,
        "lost": 0,
        "answers": 1000,
        "answers_per_second": 500.0,
        "handshakes": 10,
        "handshakes_per_second": None,
        "latency": LATENCY,
        "handshake_latency": LATENCY,
        "tool_late": {"p99": 0.0},
        "answers_a_connection": {"least": 90, "median": 100, "most": 110},
        "connections_without_answer": 0,
        "under_way_at_end": {"count": 10, "oldest_seconds": 0.001},
        "socket_errors": {"connect": 0, "read": 0, "write": 0, "timeout": 0, "first": None},
        "bad_statuses": 0,
        "refused": 0,
        "first_refusal": None,
        "unanswered": 0,
        "missed": 0,
        "wrong": 0,
        "first_fault": None,
        "decoded": 0,
        "recognised": 0,
        "tool_cpu_seconds": 1.0,
        "watched_cpu_seconds": 2.0,
        "resident_bytes": {"before": 1000, "with_all": 5000, "end": 3000},
        **others,
    }


def noted(**others) -> tuple[str, str]:
    """The notes of such a report's row, and what makes it a failed one."""
    found = of_tool(**others)
    kept = measure.figures(found, 1)
    return report.notes(Row("echo", "x", 10, kept)), measure.troubles(found, kept)


class Figures(unittest.TestCase):
    def test_a_row_with_nothing_wrong_has_no_notes(self):
        self.assertEqual(noted(), ("", ""))

    def test_what_is_no_success_fails_a_row_and_is_noted(self):
        self.assertEqual(noted(bad_statuses=3), ("bad statuses 3", "bad statuses 3"))
        self.assertEqual(noted(refused=2, first_refusal="busy"), ("refused 2", "refused 2; busy"))
        broken = {"connect": 1, "read": 2, "write": 3, "timeout": 4, "first": "reset"}
        self.assertEqual(noted(socket_errors=broken), ("errors 10", "errors 10; reset"))
        self.assertEqual(noted(answers=0)[1], "nothing was answered")
        self.assertEqual(noted(answers=0, mode="hold")[1], "")
        notes, trouble = noted(opened=7)
        self.assertEqual((notes, trouble), ("7 of 10 connections opened", "opened 7 of 10 connections"))

    def test_all_handshakes_at_once_have_to_be_done(self):
        at_once = {"mode": "at_once", "handshakes_per_second": 5.0}
        self.assertEqual(noted(**at_once, opened=0), ("", ""))
        notes, trouble = noted(**at_once, handshakes=9)
        self.assertEqual((notes, trouble), ("9 of 10 connections opened", "opened 9 of 10 connections"))
        # one after the other there is no telling how many there will be
        self.assertEqual(noted(mode="handshakes", handshakes_per_second=5.0, handshakes=9)[1], "")

    def test_audio_in_which_nobody_recognised_a_voice_is_a_failed_row(self):
        self.assertEqual(noted(work="opus", decoded=600, recognised=8)[1], "")
        trouble = "no client recognised its voice in 600 decoded packets"
        self.assertEqual(noted(work="opus", decoded=600)[1], trouble)
        self.assertEqual(noted(work="opus", decoded=600, rate=100.0)[1], trouble)
        # who is held has spoken one packet
        self.assertEqual(noted(work="opus", decoded=1, mode="hold")[1], "")
        kept = measure.figures(of_tool(work="opus", decoded=600, recognised=8), 1)
        self.assertEqual((kept["decoded"], kept["recognised"]), (600, 8))

    def test_a_server_that_was_not_the_bottleneck_is_noted_in_closed_loops_only(self):
        self.assertEqual(noted(watched_cpu_seconds=1.68)[0], "server busy for 0.84 of the time, load tool for 0.50")
        self.assertEqual(noted(watched_cpu_seconds=1.68, rate=100.0)[0], "")
        self.assertNotIn("busy", noted(watched_cpu_seconds=0.1, mode="hold")[0])

    def test_a_loop_that_did_not_have_its_core_is_noted(self):
        kept = {"per_second": 50.0, "per_cpu_second": 100.0, "server_busy": 0.5}
        self.assertEqual(report.notes(Row("audio", "bare loop", 10, kept)), "busy for 0.50 of the time")

    def test_its_share_is_that_of_all_its_cores(self):
        self.assertAlmostEqual(measure.figures(of_tool(watched_cpu_seconds=3.0), 2)["server_busy"], 0.75)

    def test_who_waited_in_vain_can_not_be_overlooked(self):
        starved = {
            "answers_a_connection": {"least": 0, "median": 0, "most": 500},
            "connections_without_answer": 6,
            "under_way_at_end": {"count": 10, "oldest_seconds": 2.5},
        }
        self.assertEqual(measure.figures(of_tool(**starved), 1)["least_of_median"], 0.0)
        expected = "10 messages unanswered at the end, the oldest waited 2.50 s; 6 connections without any answer"
        self.assertEqual(noted(**starved)[0], expected)

    def test_memory_is_that_of_the_connections_that_were_open(self):
        kept = measure.figures(of_tool(mode="hold", open_at_end=5, lost=5), 1)
        self.assertEqual((kept["bytes_a_connection"], kept["opened"], kept["lost"]), (400, 10, 5))

    def test_of_several_rounds_troubles_are_summed_and_the_worst_wait_is_told(self):
        one, other = (measure.figures(of_tool(bad_statuses=count), 1) for count in (1, 2))
        other["oldest_under_way_ms"] = 7000.0
        merged = measure.medians([one, other, one])
        self.assertEqual((merged["bad_statuses"], merged["oldest_under_way_ms"]), (4, 7000.0))

    def test_full_accept_queues_are_noted(self):
        kept = measure.figures(of_tool(), 1) | {"listen_overflows": 12, "listen_drops": 12}
        self.assertEqual(report.notes(Row("handshakes", "x", 10, kept)), "accept backlog overflowed 12 times")

    def test_the_kernels_counters_are_found_by_name(self):
        netstat = "TcpExt: A ListenOverflows ListenDrops\nTcpExt: 1 2 3\nIpExt: B\nIpExt: 4\n"
        self.assertEqual(programs.counters_of(netstat), {"listen_overflows": 2, "listen_drops": 3})


class IdealQueue(unittest.TestCase):
    def test_without_stops_each_packet_takes_its_service(self):
        self.assertTrue(all(abs(each - 0.004) < 1e-9 for each in stalls.ideal_latencies([], 1.0, 100, 0.004)))

    def test_a_stop_delays_what_is_due_in_it_and_what_waits_behind(self):
        # packets at 0, 10, 20, 30 ms of 5 ms each; the core stands still from 8 to 28 ms
        latencies = stalls.ideal_latencies([(0.008, 0.028)], 0.04, 100, 0.005)
        for found, wanted in zip(latencies, [0.005, 0.013, 0.018, 0.023], strict=True):
            self.assertAlmostEqual(found, wanted)

    def test_a_stop_in_the_middle_of_a_packet_adds_its_length(self):
        self.assertAlmostEqual(stalls.ideal_latencies([(0.001, 0.003)], 0.01, 100, 0.005)[0], 0.007)


class Running:
    """What a soak asks of a server."""

    name, command = "sandpool", ["sandpool", "serve"]

    def __init__(self, *_):
        self.process = mock.Mock(pid=os.getpid())
        self.resident = iter([10, 20, 22])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def resident_bytes(self):
        return next(self.resident)

    def open_files(self):
        return 7

    def status(self):
        return {"pool": {"leased": 0}}

    def url(self, scheme, path):
        return f"{scheme}://127.0.0.1:1{path}"


class Soak(unittest.TestCase):
    def soak(self, *reports: dict) -> measure.Bench:
        """A soak whose loads found that."""
        bench = measure.Bench(programs.Cores(1), 1, 1, lambda _: None)
        times = scenarios.Times(True)
        times.silence, times.short = 0, 5
        runs = [subprocess.CompletedProcess([], 0, json.dumps(report), "") for report in reports]
        with mock.patch.object(scenarios, "Server", Running), mock.patch.object(programs, "on", side_effect=runs):
            scenarios.soak(bench, times)
        return bench

    def test_memory_is_that_of_the_fresh_server_before_and_after(self):
        bench = self.soak(*[of_tool(work="opus", recognised=1)] * 2)
        kept = bench.rows[0].figures
        self.assertEqual([kept[name] for name in ("bytes_fresh", "bytes_before", "bytes_after")], [10, 20, 22])
        ratios = kept["after_to_fresh"], kept["after_to_before"]
        self.assertEqual((ratios, kept["files_left"], bench.failures), ((2.2, 1.1), 0, []))

    def test_the_commands_of_both_loads_are_told_behind_the_servers(self):
        bench = self.soak(*[of_tool(work="opus", recognised=1)] * 2)
        server, *loads = bench.rows[0].commands
        self.assertIn("sandpool serve", server)
        self.assertEqual([re.search(r" -d(\w+) ", load)[1] for load in loads], ["5s", "10s"])

    def test_both_of_its_loads_are_judged_as_all_others_are(self):
        resets = {"connect": 0, "read": 5, "write": 0, "timeout": 0, "first": "reset"}
        bench = self.soak(of_tool(work="opus", recognised=1, socket_errors=resets), of_tool(work="opus"))
        self.assertEqual(
            bench.failures,
            [
                "10 s of full load: the short load before it, 400 connections: sandpool: errors 5; reset",
                "10 s of full load, 400 connections: sandpool: no client recognised its voice in 0 decoded packets",
            ],
        )


class Published(unittest.TestCase):
    def test_blocks_are_replaced_one_by_one_and_new_ones_come_behind_the_last(self):
        text = "a\n<!-- figures:one-worker -->\nold\n<!-- end:one-worker -->\nb <!-- end:other -->\n"
        text = report.with_block(text, "soak", "first")
        text = report.with_block(text, "one-worker", "new")
        text = report.with_block(text, "soak", "second")
        self.assertEqual(
            text,
            "a\n<!-- figures:one-worker -->\n\n### One worker\n\nnew\n\n<!-- end:one-worker -->\n\n"
            "<!-- figures:soak -->\n\n### Soak\n\nsecond\n\n<!-- end:soak -->\nb <!-- end:other -->\n",
        )

    def test_blocks_are_named_after_the_workers(self):
        self.assertEqual([report.workers_name(workers) for workers in (1, 2, 8)], ["one-worker", "two-workers", "8-workers"])

    def test_a_soak_has_a_table_of_its_own(self):
        kept = {"per_second": 6000.0, "bytes_fresh": 9e6, "bytes_before": 50e6, "bytes_after": 55e6, "files_left": 0}
        row = Row("600 s of full load", "sandpool", 400, kept | {"after_to_fresh": 6.11, "after_to_before": 1.1, "leases_left": 0}, ["sandpool serve"], "Before: so.")
        table = report.table([row])
        self.assertIn("| 600 s of full load | 400 | **sandpool** | 6,000 | 9.0 | 50.0 | 55.0 | 6.110 | 1.100 | 0 | 0 |", table)
        self.assertIn("Before: so. The server was `sandpool serve`.", table)
        self.assertNotIn("least/median", table)

    def test_tables_say_what_their_heads_mean(self):
        rates = report.table([Row("echo", "x", 10, measure.figures(of_tool(), 1))])
        for head in ("A second:", "A CPU second:", "Least/median:"):
            self.assertIn(head, rates.split("\n\n")[1])
        kept = dict.fromkeys(("per_second", "bytes_fresh", "bytes_before", "bytes_after", "after_to_fresh", "after_to_before", "files_left", "leases_left"), 1)
        self.assertIn("Answers a second: under the load.", report.table([Row("soak", "x", 1, kept, ["x"])]))

    def test_a_header_says_of_how_many_rounds_the_figures_are(self):
        row = lambda scenario, rounds: Row(scenario, "x", 1, {}, rounds=rounds)
        often = lambda *rows, workers=1: report.how_often(rows, {"workers": workers})
        self.assertEqual(often(row("echo", 1), row("echo", 3)), '1 worker, 1 round (medians of 3 rounds where "How" says so)')
        self.assertEqual(report.how_often([], {"workers": 1, "rounds": 3}), "1 worker, medians of 3 rounds", "all have failed")
        self.assertEqual(often(row("echo", 5), row("paced, 50 % load", 5)), "1 worker, medians of 5 rounds")
        self.assertEqual(often(row("paced, 50 % load", 3)), "1 worker, medians of 3 rounds")
        self.assertEqual(often(row("echo", 1), workers=2), "2 workers, 1 round")

    def test_a_row_knows_of_how_many_rounds_it_is(self):
        bench = measure.Bench(programs.Cores(1), 1, 1, lambda _: None)
        bench.in_turn("echo", [lambda: Row("echo", "x", 1, {"per_second": 1.0})], least_rounds=3)
        self.assertEqual(bench.rows[0].rounds, 3)

    def test_commands_name_their_cores_and_neither_ports_nor_processes(self):
        line = programs.load(["--watch", "123", "http://127.0.0.1:45678/sleep?ms=5"])
        expected = "taskset -c 0,1 target/release/sandpool-wrk --watch PID 'http://127.0.0.1:PORT/sleep?ms=5'"
        self.assertEqual(programs.shown(line, [0, 1]), expected)


ABOUT = {
    **{"cpu": "x", "cores": 2, "kernel": "6", "rustc": "rustc", "commit": "abc", "load_average": (0, 0, 0)},
    **{"workers": 1, "rounds": 1, "shared_core": False},
}
LINKS = re.compile(r"\(plots/([^)]+)\)")


class Plots(unittest.TestCase):
    def test_no_name_of_a_program_is_cut_off(self):
        names = [value for name, value in vars(programs).items() if name.isupper() and isinstance(value, str)]
        self.assertIn(programs.TUNGSTENITE_AS_IT_IS, names)
        svg = plot.plot("echo", "y", {name: [(10, 1.0), (100, 2.0)] for name in names}, False)
        width = int(re.search(r'viewBox="0 0 (\d+) ', svg)[1])
        found = {name: float(left) for left, name in re.findall(r'<text x="([\d.]+)" y="[\d.]+">([^<]+)</text>', svg)}
        for name in names:
            # the widest usual sans-serif, DejaVu Sans, has less than 8 pixels a letter at 13
            self.assertLessEqual(found[name] + 8 * len(name), width, name)

    def test_a_block_has_files_of_its_own_and_those_it_had_before_are_removed(self):
        of = lambda scenario: [Row(scenario, "x", streams, {"per_second": 1.0, "p99_ms": 1.0}, ["x"]) for streams in (10, 100)]
        with tempfile.TemporaryDirectory() as folder:
            results, plots = Path(folder) / "RESULTS.md", Path(folder) / "plots"
            results.write_text("")
            publish = lambda name, *scenarios: report.publish(results, name, sum(map(of, scenarios), []), [], ABOUT)
            publish(None, "audio, chain clarity", "echo")
            publish("audio", "audio, chain clarity", "echo")
            publish("audio", "audio, chain clarity")
            files = {path.name for path in plots.iterdir()}
            one_worker = {f"one-worker_{name}_{kind}.svg" for name in ("audio", "echo") for kind in ("throughput", "latency")}
            self.assertEqual(files, one_worker | {"audio_throughput.svg", "audio_latency.svg"})
            self.assertEqual(set(LINKS.findall(results.read_text())), files)

    def test_what_is_published_has_all_of_its_plots_and_no_others(self):
        results = programs.ROOT / "bench" / "RESULTS.md"
        shown = LINKS.findall(results.read_text())
        self.assertEqual(sorted(shown), sorted(path.name for path in (results.parent / "plots").iterdir()))


class Chosen(unittest.TestCase):
    def test_streams_come_in_their_order_and_few_points_are_few(self):
        self.assertEqual(scenarios.Times(False).streams, [10, 30, 100, 300, 1000])
        few = scenarios.Times(False, few=True)
        self.assertEqual((few.streams, few.echo_connections), ([100], [200, 2000]))

    def test_many_streams_take_longer_for_each_client_hears_less(self):
        times = scenarios.Times(False)
        self.assertEqual([times.audio_of(streams) for streams in (10, 300, 1000)], [8, 8, 15])


def measured(scenario, workers: int = 1, few: bool = False) -> tuple[list[Row], list[tuple]]:
    """The rows of `scenario` if no program were run, and who would have been: scenario, program, connections, options."""
    bench, served = measure.Bench(programs.Cores(workers), workers, 1, lambda _: None), []

    def serve(scenario, name, *_, extra=(), connections, **__):
        served.append((scenario, name, connections, extra))
        return Row(scenario, name, connections, {"per_second": 1.0})

    def without_server(scenario, streams, *_):
        return Row(scenario, programs.BARE, streams, {"per_second": 5000.0})

    with mock.patch.multiple(bench, serve=serve, loop=without_server, ideal_queue=without_server):
        scenario(bench, scenarios.Times(False, few))
    assert not bench.failures, bench.failures
    return bench.rows, served


class Rounds(unittest.TestCase):
    def more_than_once(self, scenario, few: bool = False) -> set[tuple]:
        rows, _ = measured(scenario, few=few)
        return {(row.scenario, row.connections, row.rounds) for row in rows if row.rounds > 1}

    def test_rows_whose_rate_or_tail_a_target_compares_are_measured_three_times(self):
        wanted = {(f"audio, chain {chain}", streams, 3) for chain in ("clarity", "none") for streams in (100, 1000)}
        self.assertEqual(self.more_than_once(scenarios.audio), wanted)
        self.assertEqual(self.more_than_once(scenarios.echo), {("echo", 200, 3), ("echo", 2000, 3)})
        self.assertEqual(self.more_than_once(scenarios.http), {("plain HTTP", 256, 3)})
        self.assertEqual(self.more_than_once(scenarios.handshakes), {("handshakes", 64, 3)})
        rows, _ = measured(scenarios.paced)
        self.assertEqual({row.rounds for row in rows}, {3})

    def test_with_few_points_all_are_measured_once(self):
        self.assertEqual(self.more_than_once(scenarios.echo, few=True), set())


class Floor(unittest.TestCase):
    def floors(self, scenario, workers: int) -> set[tuple]:
        """The rows of `scenario` that the bare epoll loop has, and its options in them."""
        _, served = measured(scenario, workers)
        return {(of, connections, extra) for of, name, connections, extra in served if name == programs.BARE_EPOLL}

    def test_every_row_of_audio_with_one_worker_has_it_and_there_it_transcodes(self):
        options = lambda chain: ("--transcode", "--chain", chain)
        wanted = {
            (f"audio, chain {chain}", streams, options(chain))
            for chain in ("clarity", "none")
            for streams in (10, 30, 100, 300, 1000)
        }
        self.assertEqual(self.floors(scenarios.audio, 1), wanted)
        wanted = {(f"paced, {share} % load", share, options("clarity")) for share in (50, 80)}
        self.assertEqual(self.floors(scenarios.paced, 1), wanted)

    def test_with_more_workers_none_has_it_for_it_has_one_thread(self):
        for scenario in (scenarios.audio, scenarios.paced, scenarios.echo, scenarios.http, scenarios.handshakes):
            self.assertEqual(self.floors(scenario, 2), set())

    def test_elsewhere_it_has_no_options(self):
        self.assertEqual({extra for _, _, extra in self.floors(scenarios.echo, 1)}, {()})


if __name__ == "__main__":
    unittest.main()
