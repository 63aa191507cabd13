"""One measurement: a server on its core, the load on the other, figures from the load tool's JSON."""

import json
import statistics
from dataclasses import dataclass, field

import programs
from programs import Cores, Server

# What a run may take beyond its time: ramp, drain, start.
SPARE_S = 120.0


@dataclass
class Row:
    """The figures of one program in one scenario."""

    scenario: str
    program: str
    connections: int
    figures: dict
    commands: list[str] = field(default_factory=list)


class Bench:
    """Runs measurements and keeps their rows."""

    def __init__(self, cores: Cores, workers: int, rounds: int, say):
        self.cores, self.workers, self.rounds, self.say = cores, workers, rounds, say
        self.rows: list[Row] = []
        self.failures: list[str] = []

    def in_turn(self, scenario: str, jobs: list) -> None:
        """Runs each job, a function that gives a Row, once a round: A, B, C, A, B, C. The rows have the medians."""
        rounds: list[list[Row]] = []
        for _ in range(self.rounds):
            for place, job in enumerate(jobs):
                try:
                    row = job()
                except (RuntimeError, OSError, ValueError, TimeoutError) as error:
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
            self.rows.append(merged)

    def serve(self, scenario: str, name: str, path: str, arguments: list[str], seconds: float, *, extra=(), scheme="ws",
              connections: int) -> Row:
        """Drives server `name` with the load tool."""
        with Server(name, self.cores, self.workers, extra) as server:
            line = ["-t1", f"-c{connections}", f"-d{seconds:g}s", "--json", "-", *arguments]
            line = programs.load([*line, "--watch", str(server.process.pid), server.url(scheme, path)])
            run = programs.on([self.cores.load], line, seconds + SPARE_S)
            commands = [programs.shown(server.command), programs.shown(line)]
        if not run.stdout:
            raise RuntimeError(f"{name}: {run.stderr.strip()}")
        report = json.loads(run.stdout)
        if report["wrong"]:
            self.failures.append(f"{scenario}: {name}: {report['wrong']} wrong answers: {report['first_fault']}")
        return Row(scenario, name, connections, figures(report), commands)

    def loop(self, scenario: str, streams: int, chain: str, seconds: float) -> Row:
        """The bare loop on the server's core."""
        line = [str(programs.BUILT / "bare-opus"), "--terse", "--streams", str(streams), "--chain", chain]
        line += ["--threads", str(self.workers), "--seconds", f"{seconds:g}"]
        run = programs.on(self.cores.server, line, seconds + SPARE_S)
        if run.returncode:
            raise RuntimeError(f"bare-opus: {run.stderr.strip()}")
        per_second, per_cpu_second = map(float, run.stdout.split())
        kept = {"per_second": per_second, "per_cpu_second": per_cpu_second}
        return Row(scenario, programs.BARE, streams, kept, [programs.shown(line)])

    def rate_of(self, scenario: str, program: str, connections: int):
        """Answers a second of a row that was measured; `None` if it failed."""
        for row in self.rows:
            if (row.scenario, row.program, row.connections) == (scenario, program, connections):
                return row.figures["per_second"]
        return None


def figures(report: dict) -> dict:
    """What is kept of the load tool's report."""
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
        "refused": report["refused"],
        "unanswered": report["unanswered"] + report["missed"],
        "ramp_s": report["ramp_seconds"],
    }
    busy = report["watched_cpu_seconds"]
    if busy:
        # what it would be if the server had its cores for itself, which they are not on a busy machine
        kept["per_cpu_second"] = kept["answers"] / busy
        kept["cpu_share"] = busy / report["seconds"]
    even = report["answers_a_connection"]
    if even and even["median"]:
        kept["least_of_median"] = even["least"] / even["median"]
    memory = report["resident_bytes"]
    if memory and report["mode"] == "hold":
        kept["bytes_a_connection"] = (memory["end"] - memory["before"]) / report["connections"]
    return kept


def medians(all_figures: list[dict]) -> dict:
    """The median of each figure over the rounds; of what went wrong the sum."""
    summed = ("errors", "wrong", "refused", "unanswered")
    names = all_figures[0].keys()
    return {
        name: (sum if name in summed else statistics.median)([one[name] for one in all_figures if name in one])
        for name in names
    }


def brief(kept: dict) -> str:
    """A row's figures in a line, for whoever watches."""
    text = f"{kept['per_second']:>10.0f}/s"
    if "per_cpu_second" in kept:
        text += f"  {kept['per_cpu_second']:>8.0f}/CPU s"
    if "p99_ms" in kept:
        text += f"  p50 {kept['p50_ms']:.2f} ms, p99 {kept['p99_ms']:.2f} ms"
    if "bytes_a_connection" in kept:
        text += f"  {kept['bytes_a_connection']:.0f} bytes a connection"
    troubles = {name: kept.get(name, 0) for name in ("errors", "wrong", "refused", "unanswered")}
    return text + "".join(f", {name} {count}" for name, count in troubles.items() if count)
