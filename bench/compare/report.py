"""The tables with their ratios, the plots, and the blocks of figures in RESULTS.md."""

import json
import os
import platform
import re
import subprocess
from dataclasses import asdict
from pathlib import Path

from measure import TROUBLES
from plot import plot
from programs import BARE, MINIHTTP, PLAIN, SANDPOOL, TUNGSTENITE

# A server that was busy for less of its cores' time was not what bounded a closed loop.
BUSY = 0.95


def machine() -> dict:
    """What the figures were measured on."""
    cpu = next(
        (line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    version = lambda *words: subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release().split("-")[0],
        "rustc": version("rustc", "--version"),
        "commit": version("git", "rev-parse", "--short", "HEAD"),
        "load_average": os.getloadavg(),
    }


def warn_if_busy(about: dict, say) -> None:
    """Says so if something else runs on this machine already."""
    if about["load_average"][0] > 0.5:
        say(f"this machine is busy (load average {about['load_average'][0]:.1f}): only ratios of a run mean anything")


def header(about: dict, how: str) -> str:
    """The first line of a block: the machine, and how it was measured."""
    load = ", ".join(f"{value:.1f}" for value in about["load_average"])
    return (
        f"{about['cpu']}, {about['cores']} cores, Linux {about['kernel']}, {about['rustc']}, commit {about['commit']}; "
        f"{how}, load average before: {load}."
    )


def details(commands: list[str]) -> str:
    """The commands of a block, folded away."""
    return "<details><summary>commands</summary>\n\n```sh\n" + "\n".join(commands) + "\n```\n\n</details>"


def base_of(rows: list, row):
    """The row that one is compared with: the bare loop for audio, else the named peer."""
    wanted = BARE if row.scenario.startswith("audio") else MINIHTTP if row.scenario == "plain HTTP" else TUNGSTENITE
    for other in rows:
        if (other.scenario, other.connections, other.program) == (row.scenario, row.connections, wanted):
            return other
    return None


def ratio(row, base, figure: str) -> str:
    """How `row` does beside `base`."""
    if base is None or not base.figures.get(figure) or figure not in row.figures:
        return ""
    return f"{row.figures[figure] / base.figures[figure]:.2f}"


def table(rows: list) -> str:
    """Everything that was measured, as tables of Markdown: rates, then soaks, which are none."""
    rates, soaks = [row for row in rows if not is_soak(row)], [row for row in rows if is_soak(row)]
    return "\n".join(part for part in (rates and rate_table(rates), soaks and soak_table(soaks)) if part)


def is_soak(row) -> bool:
    """Whether it is about what is left over."""
    return "after_to_fresh" in row.figures


def rate_table(rows: list) -> str:
    """Rates, latencies and their ratios."""
    out = [
        "| scenario | connections | program | a second | ratio | a CPU second | ratio | p50 ms | p99 ms | least/median | notes |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for row in rows:
        kept, base, idle = row.figures, base_of(rows, row), row.scenario.startswith("idle")
        number = lambda name, form="{:.2f}": form.format(kept[name]) if name in kept else ""
        cells = [
            row.scenario,
            f"{row.connections:,}",
            f"**{row.program}**" if row.program in (SANDPOOL, PLAIN) else row.program,
            *(["", "", "", ""] if idle else [
                number("per_second", "{:,.0f}"),
                ratio(row, base, "per_second"),
                number("per_cpu_second", "{:,.0f}"),
                ratio(row, base, "per_cpu_second"),
            ]),
            number("p50_ms"),
            number("p99_ms"),
            number("least_of_median"),
            notes(row),
        ]
        out.append("| " + " | ".join(cells) + " |")
    out.append("")
    out.append(
        f"Ratios are to the {BARE} (audio), {MINIHTTP} (plain HTTP) or {TUNGSTENITE} (all else) of the same row. A second: answers, "
        "or handshakes, in a second of the measured time. A CPU second: the same in a second that the server itself ran for; a "
        "closed loop asks for all that a server can do, so there its ratio holds on a busy machine too, and where the rate is "
        "given it says how little of its core a server needs. Least/median: answers of the connection that had fewest, over those "
        "of the median one."
    )
    return "\n".join(out) + "\n"


def soak_table(rows: list) -> str:
    """What long load leaves over, with what it is compared to."""
    out = [
        "| load | streams | program | answers a second | MB fresh | MB before | MB after | of fresh | of before | descriptors left over | leases left over |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        kept = row.figures
        megabytes = [f"{kept[name] / 1e6:.1f}" for name in ("bytes_fresh", "bytes_before", "bytes_after")]
        cells = [row.scenario, f"{row.connections:,}", f"**{row.program}**", f"{kept['per_second']:,.0f}", *megabytes]
        cells += [f"{kept[name]:.3f}" for name in ("after_to_fresh", "after_to_before")]
        cells += [str(kept["files_left"]), str(kept["leases_left"])]
        out.append("| " + " | ".join(cells) + " |")
    out.append("\nAnswers a second: under the load. MB: resident memory in millions of bytes; of fresh, of before: after over it.")
    out += [f"\n{row.about} The server was `{row.commands[0]}`." for row in rows]
    return "\n".join(out) + "\n"


def notes(row) -> str:
    """What a row has that others don't."""
    kept, found = row.figures, []
    if "possible" in kept:
        found.append(f"{kept['answers']:,.0f} of {kept['possible']:,} ({100 * kept['answers'] / kept['possible']:.1f} %)")
    if "stalls" in kept:
        share, longest = 100 * kept["stalled_share"], kept["longest_stall_ms"]
        found.append(f"the core stopped {kept['stalls']:g} times, {share:.1f} % of the time, for up to {longest:.1f} ms")
    if "bytes_a_connection" in kept:
        found.append(f"{kept['bytes_a_connection']:,.0f} bytes a connection")
    if kept.get("opened", row.connections) < row.connections:
        found.append(f"{kept['opened']:,.0f} of {row.connections:,} connections opened")
    if kept.get("server_busy", 1.0) < BUSY:
        beside = f", load tool for {kept['tool_busy']:.2f}" if "tool_busy" in kept else ""
        found.append(f"{'server ' if beside else ''}busy for {kept['server_busy']:.2f} of the time{beside}")
    if kept.get("listen_overflows"):
        found.append(f"accept backlog overflowed {kept['listen_overflows']:,} times")
    elif kept.get("listen_drops"):
        found.append(f"{kept['listen_drops']:,} connections dropped before they were accepted")
    if kept.get("without_answer") or kept.get("oldest_under_way_ms", 0) > kept.get("max_ms", 0):
        oldest = kept["oldest_under_way_ms"] / 1e3
        found.append(f"{kept['under_way']:,.0f} messages unanswered at the end, the oldest waited {oldest:.2f} s")
    if kept.get("without_answer"):
        found.append(f"{kept['without_answer']:,} connections without any answer")
    if kept.get("tool_late_p99_ms", 0) > 0.05:
        found.append(f"load tool late by {kept['tool_late_p99_ms']:.2f} ms at p99")
    names = (*TROUBLES, "unanswered", "missed", "lost")
    return "; ".join(found + [f"{name.replace('_', ' ')} {kept[name]:,}" for name in names if kept.get(name)])


def plots(rows: list) -> dict[tuple[str, str], str]:
    """The SVGs, by what is drawn in them: of which scenario, and which of its figures."""
    found = {}
    for scenario, name in (("echo", "echo"), ("audio, chain clarity", "audio")):
        for figure, label, log_y in (("per_second", "answers a second", False), ("p99_ms", "p99 latency, ms", True)):
            lines: dict[str, list] = {}
            for row in rows:
                if row.scenario == scenario and figure in row.figures:
                    lines.setdefault(row.program, []).append((row.connections, row.figures[figure]))
            if any(len(line) > 1 for line in lines.values()):
                kind = "throughput" if figure == "per_second" else "latency"
                found[name, kind] = plot(f"{scenario}: {kind}", label, lines, log_y)
    return found


def write(out: Path, rows: list, failures: list[str], about: dict) -> None:
    """Writes the results into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    everything = {"machine": about, "failures": failures, "rows": [asdict(row) for row in rows]}
    (out / "results.json").write_text(json.dumps(everything, indent=1) + "\n")
    (out / "table.md").write_text(table(rows))
    for drawn, svg in plots(rows).items():
        (out / f"{'_'.join(drawn)}.svg").write_text(svg)


def publish(results: Path, name: str | None, rows: list, failures: list[str], about: dict) -> None:
    """Puts the figures into RESULTS.md, each kind of run into its own block, and the plots beside it. Other blocks stay."""
    soaks = [row for row in rows if is_soak(row)]
    rates = [row for row in rows if not is_soak(row)]
    of_soaks = [failure for failure in failures if any(failure.startswith(row.scenario) for row in soaks)]
    text = results.read_text()
    if soaks:
        text = with_block(text, name if name and not rates else "soak", block(soaks, of_soaks, about, ""))
    if rates:
        name = name or workers_name(about["workers"])
        images = save_plots(results.parent / "plots", rates, name)
        others = [failure for failure in failures if failure not in of_soaks]
        text = with_block(text, name, block(rates, others, about, images))
    results.write_text(text)


def workers_name(workers: int) -> str:
    """The block that runs with so many workers have."""
    number = {1: "one", 2: "two", 3: "three", 4: "four"}.get(workers, str(workers))
    return f"{number}-worker{'' if workers == 1 else 's'}"


def with_block(text: str, name: str, content: str) -> str:
    """`text` with block `name` replaced, or added behind the last one."""
    begin, end = f"<!-- figures:{name} -->", f"<!-- end:{name} -->"
    heading = f"### {name.replace('-', ' ').capitalize()}"
    whole = f"{begin}\n\n{heading}\n\n{content.strip()}\n\n{end}"
    if begin in text:
        before, rest = text.split(begin, 1)
        return before + whole + rest.split(end, 1)[1]
    # other programs have blocks of their own further down
    blocks = list(re.finditer(r"<!-- figures:([a-z0-9-]+) -->.*?<!-- end:\1 -->", text, re.DOTALL))
    place = blocks[-1].end() if blocks else len(text)
    return f"{text[:place]}\n\n{whole}{text[place:] or chr(10)}"


def save_plots(folder: Path, rows: list, name: str) -> str:
    """Writes the plots of block `name`, and removes those that it had before; the lines that show them in RESULTS.md."""
    folder.mkdir(exist_ok=True)
    # no block has an underscore in its name, so these are its own
    for before in folder.glob(f"{name}_*.svg"):
        before.unlink()
    images = ""
    for (scenario, kind), svg in plots(rows).items():
        file = f"{name}_{kind}.svg" if scenario == name else f"{name}_{scenario}_{kind}.svg"
        (folder / file).write_text(svg)
        images += f"![{scenario} {kind}](plots/{file})\n"
    return images


def how_often(rows: list, about: dict) -> str:
    """By how many workers, and how often; some rows are measured more often than others (`scenarios.Times`)."""
    rounds = {row.rounds for row in rows} or {about["rounds"]}
    words = f"{about['workers']} worker{'' if about['workers'] == 1 else 's'}, {rounds_of(min(rounds))}"
    return f'{words} ({rounds_of(max(rounds))} where "How" says so)' if len(rounds) > 1 else words


def rounds_of(rounds: int) -> str:
    """What the figures are of so many rounds."""
    return "1 round" if rounds == 1 else f"medians of {rounds} rounds"


def block(rows: list, failures: list[str], about: dict, images: str) -> str:
    """What stands in a block: machine, tables, plots, failures, commands."""
    commands = sorted({command for row in rows for command in row.commands})
    shared = (
        f" With {about['workers']} worker(s) on {about['cores']} core(s) the load shares a core with the server: both have less "
        "than a core of their own would give them, so rates are no measure of how the server scales on more cores."
        if about["shared_core"]
        else ""
    )
    failed = "".join(f"* FAILED: {failure}\n" for failure in failures)
    parts = [
        header(about, how_often(rows, about)) + shared,
        table(rows).strip(),
        images.strip(),
        failed.strip(),
        details(commands),
    ]
    return "\n\n".join(filter(None, parts))
