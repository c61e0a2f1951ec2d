"""The table of docs/benchmarks/discovery.md, from reports of `masklet evaluate discovery`.

    python benchmarks/discovery_table.py discover.json first-frame.json everything-per-frame.json

Printed are `overall` of each report, `best_track_J&F` of each clip, and the time per frame by the number of objects.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

PERCENT = ("recall@50", "recall@75", "best_track_J&F", "hota", "deta", "assa", "idf1", "owta")
NUMBERS = ("tracks", "id_switches_per_100", "latency_frames", "ms_per_frame")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("reports", nargs="+", type=Path)
    reports: list[dict[str, Any]] = [json.loads(path.read_text()) for path in parser.parse_args().reports]
    print_rows(
        ["method", *PERCENT, *NUMBERS],
        (
            [
                report["method"],
                *(f"{report['overall'][name] * 100:.1f}" for name in PERCENT),
                *(f"{report['overall'].get(name, float('nan')):.1f}" for name in NUMBERS),
            ]
            for report in reports
        ),
    )
    print_rows(
        ["clip", "objects", *(report["method"] for report in reports)],
        (
            [name, str(row["num_objects"]), *(_score(report, name) for report in reports)]
            for name, row in reports[0]["clips"].items()
        ),
    )
    for report in reports:
        print_rows(
            ["objects", f"ms per frame, {report['method']}"],
            ([f"{row['objects']}", f"{row['ms_per_frame']:.0f}"] for row in report["ms_by_objects"]),
        )


def print_rows(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table in Markdown."""
    for row in (titles, ["---"] * len(titles), *rows):
        print(f"| {' | '.join(row)} |")
    print()


def _score(report: dict[str, Any], clip: str) -> str:
    row = report["clips"].get(clip, {})
    return f"{row['best_track_J&F'] * 100:.1f}" if "best_track_J&F" in row else ""


if __name__ == "__main__":
    main()
