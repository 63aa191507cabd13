"""The figures in what the benchmarks print: divan's trees, and the tables of `waiters`."""

import re

NANOS = {"ns": 1.0, "µs": 1e3, "ms": 1e6, "s": 1e9}
ITEMS = {"item/s": 1.0, "Kitem/s": 1e3, "Mitem/s": 1e6, "Gitem/s": 1e9}


def of_divan(text: str) -> dict[str, dict[str, float]]:
    """The median time of each leaf of divan's tree, by its path; of one item where a benchmark counts items."""
    found: dict[str, dict[str, float]] = {}
    path: list[str] = []
    for line in text.splitlines():
        # of the six columns the third is the median; the tree to their left may have such lines, too
        cells = line.rsplit("│", 5)
        median = cells[2].strip() if len(cells) == 6 else ""
        named = re.match(r"((?:[│ ]  )*)[├╰]─ (\S+)", line)
        top = re.match(r"(\w+) +fastest", line)
        if top:
            path = [top[1]]
        elif named:
            depth = len(named[1]) // 3
            path = [*path[: depth + 1], named[2]]
        if not median or top:
            continue
        number, unit = median.split()
        if unit in NANOS:
            found["/".join(path)] = {"median_ns": float(number) * NANOS[unit]}
        elif unit in ITEMS:
            found["/".join(path)] = {"median_ns": 1e9 / (float(number) * ITEMS[unit])}
        else:
            raise ValueError(f"a figure in an unknown unit: {line}")
    return found


def of_waiters(text: str) -> dict[str, dict[str, float]]:
    """The waits of each pool, by how an object was held."""
    found: dict[str, dict[str, float]] = {}
    held = None
    for line in text.splitlines():
        heading = re.match(r"held for (.+), \d+ objects", line)
        row = re.match(r"(\S.*?)\s{2,}" + r"\s+".join([r"([\d.]+)"] * 6) + "$", line)
        if heading:
            held = heading[1]
        elif row and held:
            micros = dict(zip(("median_ns", "p99_ns", "p9999_ns"), row.groups()[1:4]))
            waits = {name: float(value) * 1e3 for name, value in micros.items()}
            found[f"waiters/{held}/{row[1]}"] = {**waits, "per_second": float(row[7])}
    return found
