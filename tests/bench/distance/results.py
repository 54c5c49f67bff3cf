"""What was measured: by row and peer, seconds or why there are none; a table and a picture of it.

Knows medians and layout, nothing of what was measured.  What is not a number is never left out:
a peer that is too slow, that fails or that has not sent the bytes stands in the table as that.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

WIDTH, LINE, LEFT, BAR = 900, 17, 290, 480  # of the picture, in pixels
COLOURS = ("#1f5fa8", "#d1782c", "#5b8f3f", "#a8434f", "#7a5ea6", "#4f8f94", "#8a6d4f")


@dataclass(slots=True)
class Cell:
    """One peer in one row."""

    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)
    mebibytes: list[float] = field(default_factory=list)  # on the wire, both directions

    @property
    def median(self) -> float | None:
        """The middle of the rounds, if no round failed."""
        return statistics.median(self.seconds) if self.seconds and not self.failures else None

    def shown(self) -> str:
        """Median (least-most), or why not."""
        if self.failures:
            return self.failures[0]
        if (middle := self.median) is None:
            return "-"
        return f"{_short(middle)} ({_short(min(self.seconds))}-{_short(max(self.seconds))})"


@dataclass(slots=True)
class Results:
    """All cells of one distance."""

    delay_ms: float
    targets: Mapping[str, float]
    cells: dict[str, dict[str, Cell]] = field(default_factory=dict)

    def cell(self, row: str, peer: str) -> Cell:
        """The cell of a peer in a row."""
        return self.cells.setdefault(row, {}).setdefault(peer, Cell())

    @property
    def peers(self) -> list[str]:
        """All that were measured, in their order."""
        return list(dict.fromkeys(peer for row in self.cells.values() for peer in row))

    def take(self, other: Results) -> None:
        """Add what another run measured."""
        for row, cells in other.cells.items():
            self.cells.setdefault(row, {}).update(cells)

    def table(self) -> str:
        """A Markdown table; seconds, medians (least-most)."""
        peers = self.peers
        head = ["what", *peers, "to reach" if self.delay_ms else "", "best peer / smbfs"]
        lines = [head, ["---"] * len(head)]
        for row, cells in self.cells.items():
            shown = [cells[peer].shown() if peer in cells else "-" for peer in peers]
            target = f"{self.targets[row]:g}" if self.delay_ms and row in self.targets else ""
            lines.append([row, *shown, target, self._ratio(cells)])
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)

    def turns(self) -> str:
        """A Markdown table of turns and bytes on the wire, where they were counted."""
        peers = [one for one in self.peers if any(self._turns(row, one) for row in self.cells)]
        lines = [["what", *peers], ["---"] * (1 + len(peers))]
        for row in self.cells:
            lines.append([row, *(self._turns(row, peer) for peer in peers)])
        return "\n".join("| " + " | ".join(line) + " |" for line in lines) if peers else ""

    def _turns(self, row: str, peer: str) -> str:
        cell = self.cells[row].get(peer)
        if cell is None or not cell.turns or cell.failures:
            return ""
        size = statistics.median(cell.mebibytes)
        return f"{statistics.median(cell.turns):.0f} turns, {_short(size)} MiB"

    def _ratio(self, cells: Mapping[str, Cell]) -> str:
        """How much longer the best of the others takes, of those in the same place."""
        shown = []
        for ours, theirs in _places(cells):
            best = min((one.median for one in theirs if one.median is not None), default=None)
            if ours.median and best is not None:
                shown.append(f"{best / ours.median:.1f}")
        return ", ".join(shown)

    def plain(self) -> dict[str, object]:
        """All of it for JSON."""
        return {
            "delay_ms": self.delay_ms,
            "targets": dict(self.targets),
            "rows": {
                row: {
                    peer: {
                        "median": cell.median,
                        "seconds": [round(value, 4) for value in cell.seconds],
                        "failures": cell.failures,
                        "turns": cell.turns,
                        "mebibytes": [round(value, 2) for value in cell.mebibytes],
                    }
                    for peer, cell in cells.items()
                }
                for row, cells in self.cells.items()
            },
        }


def _places(cells: Mapping[str, Cell]) -> Iterable[tuple[Cell, list[Cell]]]:
    """smbfs here and in the guest, each with those that were measured beside it."""
    for suffix in ("", GUEST):
        if (ours := cells.get(f"smbfs{suffix}")) is not None:
            there = [one for name, one in cells.items() if name.endswith(GUEST) == bool(suffix)]
            yield ours, [one for one in there if one is not ours]


GUEST = " (guest)"  # what is measured in a guest whose kernel is its own


def from_plain(plain: Mapping[str, object]) -> Results:
    """Read what `Results.plain` wrote."""
    text = json.loads(json.dumps(plain))
    found = Results(text["delay_ms"], text["targets"])
    for row, cells in text["rows"].items():
        for peer, cell in cells.items():
            found.cells.setdefault(row, {})[peer] = Cell(
                cell["seconds"], cell["failures"], cell["turns"], cell["mebibytes"]
            )
    return found


def picture(all_results: Iterable[Results], path: Path) -> None:
    """Draw all medians as bars, on a scale that multiplies by ten; SVG."""
    drawn: list[str] = []
    y = 30
    for results in all_results:
        drawn.append(_text(10, y, f"{results.delay_ms:g} ms round-trip time, seconds", size=15))
        y += 24
        colours = dict(zip(results.peers, COLOURS * 2, strict=False))
        for row, cells in results.cells.items():
            drawn.append(_text(10, y + 12, row))
            if results.delay_ms and (target := results.targets.get(row)):
                x = LEFT + _length(target)
                high = LINE * len(cells)
                drawn.append(
                    f'<path d="M{x:.0f} {y} v{high}" stroke="#222" stroke-dasharray="3 2"/>'
                )
            for peer, cell in cells.items():
                drawn += _bar(y, peer, cell, colours[peer])
                y += LINE
            y += 10
        y += 20
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" '
    style = 'font-family="sans-serif" font-size="12">'
    ground = f'<rect width="{WIDTH}" height="{y}" fill="white"/>'
    path.write_text("\n".join([head + style, ground, *drawn, "</svg>", ""]))


def _bar(y: int, peer: str, cell: Cell, colour: str) -> list[str]:
    length = _length(cell.median) if cell.median is not None else 0.0
    value = _short(cell.median) if cell.median is not None else cell.shown()
    bar = f'<rect x="{LEFT}" y="{y}" width="{length:.0f}" height="{LINE - 4}" fill="{colour}"/>'
    return [bar, _text(LEFT + length + 5, y + 11, f"{peer}: {value}", size=11)]


def _length(seconds: float) -> float:
    """How long a bar is: nothing for 0.01 s, all of it for 100 s."""
    return BAR * min(1.0, max(0.0, (math.log10(max(seconds, 1e-9)) + 2) / 4))


def _text(x: float, y: float, words: str, *, size: int = 12) -> str:
    safe = words.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}">{safe}</text>'


def _short(value: float) -> str:
    """Three digits that count, as far as that helps a reader."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
