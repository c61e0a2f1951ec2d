"""What was left out of a file, told in few lines."""

from __future__ import annotations

from dataclasses import dataclass, field

from masklet.foreign.documents import clean_text

MAX_PROBLEM_CHARACTERS = 300


@dataclass(slots=True)
class Problems:
    """What was left out of a file: a line per kind, with the first case and the number of others."""

    _first: dict[str, str] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    def add(self, kind: str, line: str, count: int = 1) -> None:
        """Count a case.

        Args:
            kind: equal for cases that share a line.
            line: file, place and reason; that of the first case is kept.
            count: number of cases that it stands for.
        """
        if kind not in self._first:
            self._first[kind] = clean_text(" ".join(line.split()))[:MAX_PROBLEM_CHARACTERS]
        self._counts[kind] = self._counts.get(kind, 0) + count

    def lines(self) -> tuple[str, ...]:
        """Return one line per kind, in the order in which they appeared."""
        return tuple(
            line + (f" (and {self._counts[kind] - 1:,} more)" if self._counts[kind] > 1 else "")
            for kind, line in self._first.items()
        )

    def copy(self) -> Problems:
        """Return a copy, to which cases can be added separately."""
        return Problems(dict(self._first), dict(self._counts))
