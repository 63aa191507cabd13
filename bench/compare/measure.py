"""One measurement: a server on its core, the load on the other, figures from the load tool's JSON."""

import json
import statistics
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import dataclass, field

import programs
from programs import Cores, Server

# What a run may take beyond its time: ramp, drain, start.
SPARE_S = 120.0

# What is wrong with a row if there is any of it.
TROUBLES = ("wrong", "bad_statuses", "refused", "errors")
# Of several rounds the sum is told, or the worst, and not the median.
SUMMED = (*TROUBLES, "unanswered", "missed", "lost", "listen_overflows", "listen_drops")
WORST = ("oldest_under_way_ms", "without_answer")


@dataclass
class Row:
    """The figures of one program in one scenario."""

    scenario: str
    program: str
    connections: int
    figures: dict
    commands: list[str] = field(default_factory=list)
    # what has to be known to read the figures
    about: str = ""
    # of how many rounds the figures are the medians
    rounds: int = 1


# By which a measurement may fail without the others.
PROBLEMS = (RuntimeError, OSError, ValueError, subprocess.SubprocessError)


class Bench:
    """Runs measurements and keeps their rows."""

    def __init__(self, cores: Cores, workers: int, rounds: int, say):
        self.cores, self.workers, self.rounds, self.say = cores, workers, rounds, say
        self.rows: list[Row] = []
        self.failures: list[str] = []

    def in_turn(self, scenario: str, jobs: list, least_rounds: int = 1) -> None:
        """Runs each job, a function that gives a Row, once a round: A, B, C, A, B, C. The rows have the medians."""
        rounds: list[list[Row]] = []
        for _ in range(max(self.rounds, least_rounds)):
            for place, job in enumerate(jobs):
                try:
                    row = job()
                except PROBLEMS as error:
                    self.failures.append(f"{scenario}: {error}")
                    self.say(f"  FAILED: {error}")
                    continue
                while len(rounds) <= place:
                    rounds.append([])
                rounds[place].append(row)
                self.say(f"  {row.program:<24} {row.connections:>6}  {brief(row.figures)}")
        for of_one in filter(None, rounds):
            merged = of_one[0]
            merged.figures = medians([row.figures for row in of_one])
            merged.rounds = len(of_one)
            self.rows.append(merged)

    def serve(self, scenario: str, name: str, path: str, arguments: list[str], seconds: float, *, extra=(), scheme="ws",
              connections: int) -> Row:
        """Drives server `name` with the load tool."""
        with Server(name, self.cores, self.workers, extra) as server:
            return self.drive(server, scenario, path, arguments, seconds, scheme=scheme, connections=connections)

    def drive(self, server: Server, scenario: str, path: str, arguments: list[str], seconds: float, *, scheme="ws",
              connections: int) -> Row:
        """Drives a server that runs already with the load tool. What makes the row a failed one is among the failures."""
        line = ["-t1", f"-c{connections}", f"-d{seconds:g}s", "--json", "-", *arguments]
        line = programs.load([*line, "--watch", str(server.process.pid), server.url(scheme, path)])
        before = programs.listen_counters()
        run = programs.on([self.cores.load], line, seconds + SPARE_S)
        after = programs.listen_counters()
        commands = [programs.shown(server.command, self.cores.server), programs.shown(line, [self.cores.load])]
        if not run.stdout:
            raise RuntimeError(f"{server.name}: {run.stderr.strip()}")
        report = json.loads(run.stdout)
        kept = figures(report, self.workers) | {counter: after[counter] - before[counter] for counter in after}
        if trouble := troubles(report, kept):
            self.failures.append(f"{scenario}, {connections} connections: {server.name}: {trouble}")
        return Row(scenario, server.name, connections, kept, commands)

    def busy_neighbour(self):
        """Keeps the load's core busy, for what is measured without load; nothing where the load shares its core with the
        servers, for there it does not poll."""
        return nullcontext() if self.cores.shared else programs.BusyNeighbour(self.cores)

    def loop(self, scenario: str, streams: int, chain: str, seconds: float) -> Row:
        """The bare loop on the server's core, beside a core that is as busy as the load's is for the servers."""
        line = [str(programs.BUILT / "bare-opus"), "--terse", "--streams", str(streams), "--chain", chain]
        line += ["--threads", str(self.workers), "--seconds", f"{seconds:g}"]
        commands = [programs.shown(line, self.cores.server)]
        with self.busy_neighbour() as neighbour:
            run = programs.on(self.cores.server, line, seconds + SPARE_S)
        if neighbour:
            commands.append(programs.shown(neighbour.COMMAND, [neighbour.core]) + "  # beside bare-opus")
        if run.returncode:
            raise RuntimeError(f"bare-opus: {run.stderr.strip()}")
        per_second, per_cpu_second = map(float, run.stdout.split())
        busy = per_second / per_cpu_second / self.workers
        kept = {"per_second": per_second, "per_cpu_second": per_cpu_second, "server_busy": busy}
        return Row(scenario, programs.BARE, streams, kept, commands)

    def ideal_queue(self, scenario: str, streams: int, rate: float, service: float, seconds: float) -> Row:
        """What an ideal server would make of `rate` packets a second on the server's core, with the stops that it has
        now: those that it has while a server runs are others."""
        line = [sys.executable, str(programs.ROOT / "bench/compare/stalls.py"), f"{seconds:g}", f"{rate:g}", f"{service * 1e6:.1f}"]
        with self.busy_neighbour():
            run = programs.on(self.cores.server[:1], line, seconds + SPARE_S)
        if run.returncode:
            raise RuntimeError(f"stalls.py: {run.stderr.strip()}")
        kept = json.loads(run.stdout) | {"per_second": rate}
        return Row(scenario, programs.IDEAL, streams, kept, [programs.shown(["python3", *line[1:]], self.cores.server[:1])])

    def rate_of(self, scenario: str, program: str, connections: int):
        """Answers a second of a row that was measured; `None` if it failed."""
        for row in self.rows:
            if (row.scenario, row.program, row.connections) == (scenario, program, connections):
                return row.figures["per_second"]
        return None


def figures(report: dict, workers: int) -> dict:
    """What is kept of the load tool's report on a server of so many workers, each with a core."""
    about_handshakes = report["mode"] in ("handshakes", "at_once")
    latency = report["handshake_latency"] if about_handshakes else report["latency"]
    errors = report["socket_errors"]
    kept = {
        "per_second": report["handshakes_per_second"] if about_handshakes else report["answers_per_second"],
        "answers": report["handshakes"] if about_handshakes else report["answers"],
        "seconds": report["seconds"],
        **{f"{name}_ms": latency[name] * 1e3 for name in ("p50", "p99", "p99_9", "max")},
        "tool_late_p99_ms": report["tool_late"]["p99"] * 1e3,
        "errors": sum(errors[kind] for kind in ("connect", "read", "write", "timeout")),
        "wrong": report["wrong"],
        "bad_statuses": report["bad_statuses"],
        "refused": report["refused"],
        "unanswered": report["unanswered"],
        "missed": report["missed"],
        "ramp_s": report["ramp_seconds"],
        "tool_busy": report["tool_cpu_seconds"] / (report["seconds"] * report["threads"]),
    }
    if report["mode"] == "at_once":
        # each has one try, so this is how many are open
        kept["opened"] = report["handshakes"]
    if not about_handshakes:
        kept |= {"opened": report["opened"], "open_at_end": report["open_at_end"], "lost": report["lost"]}
    busy = report["watched_cpu_seconds"]
    if busy:
        # what it would be if the server had its cores for itself, which they are not on a busy machine
        kept["per_cpu_second"] = kept["answers"] / busy
        kept["cpu_share"] = busy / report["seconds"]
        if report["rate"] is None and report["mode"] != "hold":
            # a closed loop asks for all that the server can do, so this should be near 1
            kept["server_busy"] = kept["cpu_share"] / workers
    if report["work"] == "opus":
        kept |= {"decoded": report["decoded"], "recognised": report["recognised"]}
    if report["mode"] == "stream":
        even = report["answers_a_connection"]
        if even:
            kept["least_of_median"] = even["least"] / even["median"] if even["median"] else 0.0
        kept["without_answer"] = report["connections_without_answer"]
        kept["under_way"] = report["under_way_at_end"]["count"]
        kept["oldest_under_way_ms"] = report["under_way_at_end"]["oldest_seconds"] * 1e3
    memory = report["resident_bytes"]
    if memory and report["mode"] == "hold" and report["open_at_end"]:
        kept["bytes_a_connection"] = (memory["end"] - memory["before"]) / report["open_at_end"]
    return kept


def troubles(report: dict, kept: dict) -> str:
    """What makes a row a failed one, in words; nothing if nothing does."""
    found = [f"{name.replace('_', ' ')} {kept[name]:,}" for name in TROUBLES if kept[name]]
    if kept.get("opened", report["connections"]) < report["connections"]:
        found.append(f"opened {kept['opened']:,} of {report['connections']:,} connections")
    # who is held is answered before the time that is measured
    if report["mode"] != "hold" and not kept["answers"]:
        found.append("nothing was answered")
    if report["mode"] == "stream" and kept.get("recognised") == 0:
        found.append(f"no client recognised its voice in {kept['decoded']:,} decoded packets")
    first = (report["first_fault"], report["first_refusal"], report["socket_errors"]["first"])
    return ", ".join(found) + "".join(f"; {words}" for words in first if found and words)


def medians(all_figures: list[dict]) -> dict:
    """The median of each figure over the rounds; of what went wrong the sum, or the worst."""
    how = lambda name: sum if name in SUMMED else max if name in WORST else statistics.median
    return {name: how(name)([one[name] for one in all_figures if name in one]) for name in all_figures[0]}


def brief(kept: dict) -> str:
    """A row's figures in a line, for whoever watches."""
    text = f"{kept['per_second']:>10.0f}/s"
    if "per_cpu_second" in kept:
        text += f"  {kept['per_cpu_second']:>8.0f}/CPU s"
    if "p99_ms" in kept:
        text += f"  p50 {kept['p50_ms']:.2f} ms, p99 {kept['p99_ms']:.2f} ms"
    if "bytes_a_connection" in kept:
        text += f"  {kept['bytes_a_connection']:.0f} bytes a connection"
    names = (*TROUBLES, "unanswered", "missed", "listen_overflows")
    return text + "".join(f", {name.replace('_', ' ')} {kept[name]}" for name in names if kept.get(name))
