"""The house has floors: every import goes down, or stays in its own room."""

import ast
from pathlib import Path

import pytest

FLOORS = [  # from the roof to the ground; rooms on one floor do not know each other
    ["__main__"],
    ["cli"],
    ["mount"],
    ["guardian", "mountpoint", "report", "settings", "sleep"],
    ["control", "losses", "options", "credentials", "spool"],
    ["fuse"],
    ["vfs"],
    ["discovery"],
    ["cache", "engine", "fuse.server"],
    ["auth", "crypto", "places"],
    ["errors", "reasons"],
    ["wire"],
    ["__init__"],
]
ONLY = {  # stricter than the floors
    "cache": {"errors"},
    "fuse.server": {"errors"},
    "fuse": {"vfs", "fuse.server", "errors", "wire"},
}
HEIGHT = {room: -floor for floor, rooms in enumerate(FLOORS) for room in rooms}
PACKAGE = Path(__file__).parent.parent / "smbfs"


def room_of(*names: str) -> str:
    dotted = ".".join(names[:2])
    return dotted if dotted in HEIGHT else names[0]


def imported_rooms(path: Path) -> set[str]:
    here = path.relative_to(PACKAGE.parent).with_suffix("").parts
    targets: list[tuple[str, ...]] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level] if node.level else ()
            module = node.module.split(".") if node.module else ()
            targets += [(*base, *module, alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            targets += [tuple(alias.name.split(".")) for alias in node.names]
    return {room_of(*names[1:]) for names in targets if names[0] == "smbfs" and len(names) > 1}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=str)
def test_imports_go_down(path: Path) -> None:
    room = room_of(*path.relative_to(PACKAGE).with_suffix("").parts)
    assert room in HEIGHT, f"{room} has no floor"
    for other in imported_rooms(path) - {room}:
        assert HEIGHT[other] < HEIGHT[room], f"{room} may not know {other}"
        assert other in ONLY.get(room, {other}), f"{room} may know only {ONLY[room]}"
