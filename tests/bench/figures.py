"""Measured figures: collected by name over several rounds, shown as a table and as JSON.

Knows medians and layout, nothing of what was measured.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass, field


@dataclass(slots=True)
class Figure:
    """One quantity and what each round measured."""

    unit: str
    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return statistics.median(self.values)

    def shown(self) -> str:
        """Median (least-most), in its unit."""
        middle, least, most = map(_short, (self.median, min(self.values), max(self.values)))
        return f"{middle} ({least}-{most}) {self.unit}"


class Figures:
    """All quantities of one run, in the order in which they were first measured."""

    def __init__(self) -> None:
        self._all: dict[str, Figure] = {}

    def add(self, name: str, unit: str, value: float) -> None:
        """Note one more round of a quantity."""
        self._all.setdefault(name, Figure(unit)).values.append(value)

    def __getitem__(self, name: str) -> Figure:
        """One quantity; raises KeyError."""
        return self._all[name]

    def table(self) -> str:
        """A Markdown table."""
        rows = [f"| {name} | {figure.shown()} |" for name, figure in self._all.items()]
        return "\n".join(["| what | median (least-most) |", "|---|---|", *rows])

    def json(self, **about: object) -> str:
        """One line of JSON: what is told ``about`` the run, and every value of every quantity."""
        figures = {
            name: {
                "unit": figure.unit,
                "median": round(figure.median, 4),
                "values": [round(value, 4) for value in figure.values],
            }
            for name, figure in self._all.items()
        }
        return json.dumps({**about, "figures": figures}, ensure_ascii=False)


def _short(value: float) -> str:
    """Three digits that count, as far as that helps a reader."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
