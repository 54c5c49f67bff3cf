"""The promises of SEMANTICS.md, and the tests that quote them.

`promises` reads the document; `proves` stands above a test with the label and the very words of
the promise.  That both agree is checked by tests/test_semantics.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Test = TypeVar("Test", bound=Callable[..., object])

DOCUMENT = Path(__file__).parent.parent.parent / "SEMANTICS.md"
ITEM = re.compile(r"^\* (.*?)(?=\n\n|\n\* |\Z)", re.MULTILINE | re.DOTALL)
LABELLED = re.compile(r"\*\*([A-Z]+-\d+)\*\* (.*)")

PROVEN: dict[str, list[str]] = {}  # a quotation, label first, and the tests beneath it


def items(text: str) -> list[str]:
    """Every item of every list, its lines joined."""
    return [" ".join(item.split()) for item in ITEM.findall(text)]


def promises(text: str) -> dict[str, str]:
    """The promises of a document, by label."""
    found = [match for item in items(text) if (match := LABELLED.fullmatch(item))]
    return {match[1]: match[2] for match in found}


def proves(quotation: str) -> Callable[[Test], Test]:
    """Say which promise the test beneath proves."""

    def note(test: Test) -> Test:
        PROVEN.setdefault(quotation, []).append(f"{test.__module__}.{test.__qualname__}")
        return test

    return note
