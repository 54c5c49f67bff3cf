"""Files and functions stay small enough to be read, and excuses carry a reason."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILE_LINES, FUNCTION_LINES, HEAD_LINES = 400, 40, 14
LONGER: dict[str, str] = {}  # "smbfs/x.py": "why it is one idea and cannot be split"

# Each of these silences a check, so the line says what makes that right: words after it.
EXCUSE = re.compile(r"#\s*(type:\s*ignore(\[[\w, -]+\])?|noqa(:\s*[A-Z0-9, ]+)?|pragma:[\w ]+)")
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b")
MACHINE = re.compile(r"(?<![\w.])/(work|home|root)/\w")


def sources() -> list[str]:
    found = [path for room in ("smbfs", "tests", "packaging") for path in (ROOT / room).rglob("*")]
    return sorted(str(path.relative_to(ROOT)) for path in found if path.suffix == ".py")


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from ``def`` to the end, the docstring left out: explaining is free."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


@pytest.mark.parametrize("source", sources())
def test_a_file_can_be_read_in_one_go(source: str) -> None:
    lines = len((ROOT / source).read_text().splitlines())
    assert lines <= FILE_LINES or source in LONGER, f"{source} has {lines} lines: split it"


@pytest.mark.parametrize("source", sources())
def test_a_function_does_one_thing(source: str) -> None:
    long = {
        function.name: length(function)
        for function in functions(ast.parse((ROOT / source).read_text()))
        if length(function) > FUNCTION_LINES
    }
    assert not long, f"{source}: {long}"


@pytest.mark.parametrize("source", [one for one in sources() if one.startswith("smbfs/")])
def test_a_module_says_what_it_is_for(source: str) -> None:
    text = (ROOT / source).read_text()
    head = ast.get_docstring(ast.parse(text))
    assert head or not text.strip(), f"{source} has no docstring"
    assert len((head or "").splitlines()) <= HEAD_LINES, f"{source} begins with an essay"


@pytest.mark.parametrize("source", sources())
def test_every_excuse_has_a_reason(source: str) -> None:
    for number, line in enumerate((ROOT / source).read_text().splitlines(), 1):
        if (found := EXCUSE.search(line)) and "re.compile" not in line:
            reason = line[found.end() :].strip(" #-:,.")
            assert len(reason.split()) >= 2, f"{source}:{number}: {line.strip()}"


@pytest.mark.parametrize("source", sources())
def test_nothing_is_unfinished_and_no_machine_is_named(source: str) -> None:
    for number, line in enumerate((ROOT / source).read_text().splitlines(), 1):
        assert not UNFINISHED.search(line), f"{source}:{number}: {line.strip()}"
        assert not MACHINE.search(line), f"{source}:{number}: {line.strip()}"


def test_the_list_of_longer_files_is_true() -> None:
    for source, reason in LONGER.items():
        assert reason
        assert len((ROOT / source).read_text().splitlines()) > FILE_LINES, f"{source} is short now"
