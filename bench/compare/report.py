"""The table with its ratios, the plots, and the block of figures in RESULTS.md."""

import json
import os
import platform
import subprocess
from dataclasses import asdict
from pathlib import Path

from plot import plot
from programs import BARE, MINIHTTP, PLAIN, SANDPOOL, TUNGSTENITE

BEGIN, END = "<!-- figures: written by bench/compare -->", "<!-- end of figures -->"


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
    """Everything that was measured, in one table of Markdown."""
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
            notes(kept),
        ]
        out.append("| " + " | ".join(cells) + " |")
    out.append("")
    out.append(
        f"Ratios are to the {BARE} (audio), {MINIHTTP} (plain HTTP) or {TUNGSTENITE} (all else) of the same row; a CPU second is "
        "one that the server itself ran for, so its ratio holds on a busy machine too."
    )
    return "\n".join(out) + "\n"


def notes(kept: dict) -> str:
    """What a row has that others don't."""
    found = []
    if "possible" in kept:
        found.append(f"{kept['answers']:,.0f} of {kept['possible']:,} ({100 * kept['answers'] / kept['possible']:.1f} %)")
    if "bytes_a_connection" in kept:
        found.append(f"{kept['bytes_a_connection']:,.0f} bytes a connection")
    if "memory_after" in kept:
        left = f"{kept['files_left']} files and {kept['leases_left']} leases left over"
        found.append(f"memory {kept['memory_after']:.3f} of before, {left}")
    if kept.get("tool_late_p99_ms", 0) > 0.05:
        found.append(f"load tool late by {kept['tool_late_p99_ms']:.2f} ms at p99")
    found += [f"{name} {kept[name]:,}" for name in ("errors", "wrong", "refused", "unanswered") if kept.get(name)]
    return "; ".join(found)


def plots(rows: list) -> dict[str, str]:
    """The SVGs, by file name."""
    found = {}
    for scenario, name in (("echo", "echo"), ("audio, chain clarity", "audio")):
        for figure, label, log_y in (("per_second", "answers a second", False), ("p99_ms", "p99 latency, ms", True)):
            lines: dict[str, list] = {}
            for row in rows:
                if row.scenario == scenario and figure in row.figures:
                    lines.setdefault(row.program, []).append((row.connections, row.figures[figure]))
            if any(len(line) > 1 for line in lines.values()):
                kind = "throughput" if figure == "per_second" else "latency"
                found[f"{name}_{kind}.svg"] = plot(f"{scenario}: {kind}", label, lines, log_y)
    return found


def write(out: Path, rows: list, failures: list[str], about: dict) -> None:
    """Writes the results into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    everything = {"machine": about, "failures": failures, "rows": [asdict(row) for row in rows]}
    (out / "results.json").write_text(json.dumps(everything, indent=1) + "\n")
    (out / "table.md").write_text(table(rows))
    for name, svg in plots(rows).items():
        (out / name).write_text(svg)


def publish(results: Path, rows: list, failures: list[str], about: dict) -> None:
    """Puts the figures into RESULTS.md, between its marks, and the plots beside it."""
    text = results.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    folder = results.parent / "plots"
    folder.mkdir(exist_ok=True)
    images = ""
    for name, svg in plots(rows).items():
        (folder / name).write_text(svg)
        images += f"![{name.removesuffix('.svg').replace('_', ' ')}](plots/{name})\n"
    commands = sorted({command for row in rows for command in row.commands})
    load = ", ".join(f"{value:.1f}" for value in about["load_average"])
    block = (
        f"{BEGIN}\n\n{about['cpu']}, {about['cores']} cores, Linux {about['kernel']}, {about['rustc']}, commit "
        f"{about['commit']}; {about['workers']} worker(s), {about['rounds']} round(s), load average before: {load}."
        f"{' Servers and load shared a core.' if about['shared_core'] else ''}\n\n{table(rows)}\n{images}\n"
        + "".join(f"* FAILED: {failure}\n" for failure in failures)
        + f"\n<details><summary>commands</summary>\n\n```sh\n" + "\n".join(commands) + f"\n```\n\n</details>\n\n{END}"
    )
    results.write_text(before + block + after)
