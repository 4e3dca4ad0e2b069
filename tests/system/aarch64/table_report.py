"""The instruction counts of run.sh as a table, or with --json as they are.

    python table_report.py [--json] FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

PROCESSORS = {"cortex-a72": "Cortex-A72 (Pi 4)", "cortex-a76": "Cortex-A76 (Pi 5)"}
PEERS = {"embed": "embed, MobileFaceNet by ncnn", "find": "find, YuNet"}


def table(counts: dict[str, dict[str, float]]) -> str:
    """One row a task, in millions, with the share of the peer's where that was counted."""
    rows = [f"| million instructions | {' | '.join(PROCESSORS.values())} |", "|---|---|---|"]
    for task in counts["cortex-a72"]:
        cells = []
        for processor in PROCESSORS:
            count, peer = counts[processor][task], counts[processor].get(PEERS.get(task.split(",")[0], ""))
            cells.append(f"{count / 1e6:.1f}" + (f" ({count / peer:.2f})" if peer else ""))
        rows.append(f"| {task} | {' | '.join(cells)} |")
    return "\n".join(rows)


if __name__ == "__main__":
    folder = Path(sys.argv[-1])
    counted = {name: json.loads((folder / f"counts-{name}.json").read_text()) for name in PROCESSORS}
    print(json.dumps(counted, indent=1) if "--json" in sys.argv else table(counted))
