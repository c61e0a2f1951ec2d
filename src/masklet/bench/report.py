"""Tables of measurements: for the terminal, as Markdown to be kept, and as one line of JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from masklet.bench.commands import CommandResult
from masklet.bench.timing import Result


@dataclass(frozen=True, slots=True)
class Table:
    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]

    def to_markdown(self) -> str:
        lines = [self.columns, ("---",) + ("---:",) * (len(self.columns) - 1), *self.rows]
        return "\n".join([f"## {self.title}", "", *(f"| {' | '.join(line)} |" for line in lines)])


@dataclass(slots=True)
class BenchReport:
    """Tables and what stands behind them."""

    model: str
    command: str
    card: Mapping[str, Any]
    tables: list[Table] = field(default_factory=list)
    records: dict[str, Any] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def add_stage(self, stage: str, objects: int, results: Sequence[Result]) -> None:
        """One stage's contestants, the first of which is the reference."""
        first = results[0]
        rows = [
            (
                row.name,
                f"{row.wall_s * 1e3:.1f}",
                f"{row.cpu_s * 1e3:.1f}",
                f"{first.cpu_s / row.cpu_s:.2f}x" if row.cpu_s else "",
                f"{row.deviation:.1e}",
            )
            for row in results
        ]
        plural = "object" if objects == 1 else "objects"
        title = stage if stage == "encode image" else f"{stage}, {objects} {plural}"
        self.tables.append(Table(title, ("", "wall, ms", "processor, ms", "gain", "deviation"), rows))
        self.records[f"{stage} x {objects}"] = [row.to_dict() for row in results]

    def add_commands(self, results: Sequence[CommandResult]) -> None:
        rows = [
            (f"`{row.name}`", f"{row.wall_s:.2f}", f"{row.cpu_s:.2f}", f"{row.peak_bytes / 1e6:.0f}") for row in results
        ]
        self.tables.append(Table("Start to end", ("", "wall, s", "processor, s", "peak, MB"), rows))
        self.records["commands"] = [row.to_dict() for row in results]

    def add_frames(self, frames: Sequence[Mapping[str, Any]], cores: int) -> None:
        """Add a table of the whole pipeline. "At best" assumes cores that no other process uses and that never wait."""
        rows = [
            (
                f"{row['speed']}, {row['objects']} {'object' if row['objects'] == 1 else 'objects'}",
                f"{1 / row['wall_s']:.1f}",
                f"{row['cpu_s'] * 1e3:.0f}",
                f"{cores / row['cpu_s']:.1f}",
            )
            for row in frames
            if row["wall_s"] > 0 and row["cpu_s"] > 0
        ]
        columns = ("", "frames/s", "processor, ms a frame", f"frames/s at best, {cores} cores")
        self.tables.append(Table("Tracking a file into an overlay", columns, rows))
        self.records["frames"] = list(frames)

    @property
    def name(self) -> str:
        """`model_hardware_date`, for a file."""
        parts = (self.model, self.card["cpu"]["name"], self.card["date"])
        return "_".join(re.sub(r"[^A-Za-z0-9.-]+", "-", part).strip("-").lower() for part in parts)

    def card_lines(self) -> list[str]:
        cpu, ceiling = self.card["cpu"], self.card["ceiling"]
        versions = ", ".join(f"{name} {version}" for name, version in self.card["versions"].items())
        load = "" if self.card["load"] is None else f", load average {self.card['load']:.1f} at the start"
        return [
            f"{cpu['name']}, {cpu['cores']} cores, {', '.join(cpu['features']) or 'no vector extensions'}{load}",
            f"matrix products in fp32: {ceiling['gflops_cpu']:.0f} GFLOP to a second of one core's time, "
            f"{ceiling['gflops_wall']:.0f} to a second of waiting",
            f"threads: {self.card['threads']}; {versions}",
            *self.remarks,
        ]

    def to_markdown(self) -> str:
        parts = [f"# {self.model}, {self.card['date']}", f"    {self.command}"]
        parts += ["\n".join(f"- {line}" for line in self.card_lines())]
        parts += [table.to_markdown() for table in self.tables]
        return "\n\n".join(parts) + f"\n\n```json\n{self.to_json()}\n```\n"

    def to_json(self) -> str:
        """One line."""
        return json.dumps({"command": "bench", "model": self.model, "card": self.card, **self.records})
