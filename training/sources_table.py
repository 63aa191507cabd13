#!/usr/bin/env python3
"""Writes the table of sources in README.md from what is in a corpus: sources_table.py WORK_DIRECTORY/corpus [ANOTHER ...]"""

import re
import sys
from collections import Counter
from pathlib import Path

import sources

PARTS = ("train", "development", "test")


def main():
    counts = Counter()
    for corpus in sys.argv[1:]:
        for path in Path(corpus).glob("*/*/*.wav"):
            part, genre = path.parts[-3:-1]
            counts[genre, path.name.split("__")[0], part] += 1
    rows = ["| source (Debian package where nothing else is said) | class | training | development | test | licence of the material |",
            "| --- | --- | --- | --- | --- | --- |"]
    for genre, source in sorted({key[:2] for key in counts}):
        numbers = " | ".join(str(counts[genre, source, part] or "") for part in PARTS)
        rows.append(f"| {source} | {genre} | {numbers} | {sources.LICENCES[source]} |")
    rows.append("| | **all** | " + " | ".join(str(sum(n for key, n in counts.items() if key[2] == part)) for part in PARTS) + " | |")
    readme = Path(__file__).with_name("README.md")
    block = "<!-- sources -->\n" + "\n".join(rows) + "\n<!-- end -->"
    readme.write_text(re.sub(r"<!-- sources -->.*?<!-- end -->", lambda _: block, readme.read_text(), flags=re.S))


if __name__ == "__main__":
    main()
