"""No test mounts by one transport only, unless it says why."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from tests import mounted
from tests.cli import live
from tests.mount import ground
from tests.samba import Samba
from tests.transports import MATRIX, ONLY, TRANSPORTS, Matrix, Outside, transports_of
from tests.workers import transport_of

ROOT = Path(__file__).parent.parent
MOUNTING = (mounted.SMBFS, mounted.MountedShare, live.ForegroundShare, ground.Lasting)

# Modules with tests that need not run for each, though they know how to mount.
ONCE = {
    "tests/test_bad_input.py": "each fails before the kernel is asked for anything",
    "tests/test_transports.py": "this one",
    "tests/test_turnarounds.py": "its first half is on the fake server, without a kernel",
    "tests/test_wire_capture.py": "what no mount says yet is said by hand",
}


def test_whatever_knows_how_to_mount_does_so_by_each(request: pytest.FixtureRequest) -> None:
    once = [
        item.nodeid
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and "transport" not in item.fixturenames
        and str(item.path.relative_to(ROOT)) not in ONCE
        and knows_how_to_mount(item)
    ]
    assert once == [], 'these need the fixture "transport"; see tests/transports.py'


def knows_how_to_mount(item: pytest.Function) -> bool:
    """Whether the test's module can reach what mounts."""
    reached = vars(item.module).values()
    return any(one is way for one in reached for way in MOUNTING)


def test_it_runs_for_each_in_turn(request: pytest.FixtureRequest) -> None:
    for item in request.session.items:
        if isinstance(item, pytest.Function) and "transport" in item.fixturenames:
            test = item.nodeid
            assert transport_of(test) in transports_of(test.partition("[")[0]), test


@pytest.mark.parametrize("test", ONLY)
def test_what_runs_for_one_only_is_a_test(test: str) -> None:
    path, _, name = test.partition("::")
    module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
    assert not name or callable(getattr(module, name))


def test_outside_of_the_matrix_nothing_is_mounted(samba: Samba) -> None:
    with pytest.raises(Outside, match="transport"):
        mounted.MountedShare(samba)


def test_what_is_mounted_says_by_which_transport(transport: str, samba: Samba) -> None:
    made = mounted.MountedShare(samba)
    assert MATRIX.option() == f"transport={transport}"
    assert MATRIX.option() in made.options
    made.close()


def test_the_last_word_is_the_innermost() -> None:
    matrix = Matrix()
    with matrix.by("one"), matrix.by("two"):
        assert matrix.option() == "transport=two"
    with matrix.by("one"), matrix.by(None), pytest.raises(Outside):
        matrix.option()


def test_a_test_runs_for_all_or_for_one() -> None:
    [first, *_] = ONLY
    assert transports_of(first) == (ONLY[first][0],)
    assert transports_of("tests/mount/test_open.py::test_anything") == TRANSPORTS
