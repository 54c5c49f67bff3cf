"""Draws the state machines of the engine from the tables it runs on, for the README.

Without a word it prints the drawings; with ``--write`` it puts them into README.md, between the
two marks.  A step that leads back to where it came from is left out.

Knows the tables and nothing of what they are for.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from smbfs.engine.handle import HANDLE
from smbfs.engine.states import CONNECTION, LINK

README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN, END = "<!-- states: packaging/draw_states.py --write -->\n", "<!-- end of states -->\n"
Table = Mapping[Any, Enum]  # (state, event) to state
DRAWINGS: dict[str, Table] = {
    "The way to a share, through any number of connections": LINK,
    "One connection": CONNECTION,
    "One open file": HANDLE,
}


def steps(table: Table) -> dict[tuple[str, str], list[str]]:
    """The events that lead from one state to another, in the order of the table."""
    found: dict[tuple[str, str], list[str]] = {}
    for (state, event), then in table.items():
        if then is not state:
            found.setdefault((state.name, then.name), []).append(event.name.lower())
    return found


def lines(table: Table) -> Iterator[str]:
    """One drawing, in the language of Mermaid."""
    first = next(iter(table))[0]
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield f"    [*] --> {first.name}"
    for (state, then), events in steps(table).items():
        yield f"    {state} --> {then}: {', '.join(events)}"
    yield "```"


def drawn() -> str:
    """All drawings, each under its name."""
    parts = ["\n".join([f"{name}:", "", *lines(table)]) for name, table in DRAWINGS.items()]
    return "\n\n".join(parts) + "\n"


def written(text: str) -> str:
    """The text of a README with the drawings of today between its marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the marks {BEGIN.strip()} and {END.strip()} are missing")
    return f"{before}{BEGIN}\n{drawn()}\n{END}{after}"


def main(words: list[str]) -> None:
    """Print the drawings, or write them."""
    if words == ["--write"]:
        README.write_text(written(README.read_text()))
    else:
        sys.stdout.write(drawn())


if __name__ == "__main__":
    main(sys.argv[1:])
