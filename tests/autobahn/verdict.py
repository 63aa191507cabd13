"""Sums up what Autobahn found, and fails when there is a failure: verdict.py index.json"""

import collections
import json
import sys

PASSED = {"OK", "NON-STRICT", "INFORMATIONAL"}

with open(sys.argv[1]) as index:
    agents = json.load(index)

failed = []
counts = collections.Counter()
for cases in agents.values():
    for case, result in cases.items():
        counts[result["behavior"]] += 1
        counts["close " + result["behaviorClose"]] += 1
        if result["behavior"] not in PASSED or result["behaviorClose"] not in PASSED:
            failed.append((case, result["behavior"], result["behaviorClose"]))

for name, count in sorted(counts.items()):
    print(f"{count:5} {name}")
for case, behavior, close in sorted(failed):
    print(f"FAILED {case}: {behavior}, close {close}")
sys.exit(1 if failed or not counts else 0)
