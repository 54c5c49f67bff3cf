"""Pure rooms decide and compute: they neither wait nor look at the world."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "smbfs"
PURE = [
    "wire/*",
    "cache/*",
    "engine/controls.py",
    "engine/credits.py",
    "engine/dialect.py",
    "engine/exchange.py",
    "engine/information.py",
    "engine/locking.py",
    "engine/states.py",
    "engine/steps.py",
    "vfs/lockplan.py",
    "vfs/locktable.py",
    "vfs/spans.py",
    "vfs/stat.py",
]
# Time is an argument (`now`), and bytes come and go as values.
WORLD = {"trio", "asyncio", "anyio", "socket", "select", "threading", "subprocess", "time"}
WAITS = (ast.Await, ast.AsyncFor, ast.AsyncWith, ast.AsyncFunctionDef)
PYFUSE3 = "fuse/pyfuse3_server.py"  # the one file that may know it: another server replaces it
MUTABLE = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)


def pure_modules() -> list[str]:
    found = {path for pattern in PURE for path in PACKAGE.glob(pattern) if path.suffix == ".py"}
    return sorted(str(path.relative_to(PACKAGE)) for path in found)


def all_modules() -> list[str]:
    return sorted(str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py"))


def tree_of(module: str) -> ast.Module:
    return ast.parse((PACKAGE / module).read_text())


def imported(tree: ast.Module) -> Iterator[str]:
    """The top-level packages that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("module", pure_modules())
def test_a_pure_room_does_not_wait(module: str) -> None:
    tree = tree_of(module)
    waiting = [node.lineno for node in ast.walk(tree) if isinstance(node, WAITS)]
    assert not waiting, f"{module} waits in line {waiting}"
    assert not WORLD & set(imported(tree)), f"{module} looks at the world"


@pytest.mark.parametrize("pattern", PURE)
def test_no_pure_room_was_moved_away(pattern: str) -> None:
    assert list(PACKAGE.glob(pattern)), f"{pattern} is gone: say here where it went"


@pytest.mark.parametrize("module", all_modules())
def test_no_mutable_state_at_module_level(module: str) -> None:
    for node in tree_of(module).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, MUTABLE):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [name.id for name in targets if isinstance(name, ast.Name)]
            names = [name for name in names if name != "__all__"]
            # A table is written in capitals and filled once, which a reader can rely on.
            assert all(name.lstrip("_").isupper() for name in names), f"{names} in {node.lineno}"


@pytest.mark.parametrize("module", all_modules())
def test_nothing_is_global(module: str) -> None:
    lines = [node.lineno for node in ast.walk(tree_of(module)) if isinstance(node, ast.Global)]
    assert not lines, f"{module} writes a global in line {lines}"


def test_one_file_knows_pyfuse3() -> None:
    knowing = [module for module in all_modules() if "pyfuse3" in imported(tree_of(module))]
    assert knowing in ([PYFUSE3], [])
