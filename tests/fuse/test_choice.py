"""A mount gets the server that it asked for, or the one that this kernel allows."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from smbfs.fuse import choice, pyfuse3_server
from smbfs.fuse.choice import server_for
from smbfs.fuse.native.greeting import Wishes
from smbfs.fuse.native.server import Server as Native
from tests.fuse.scripted import Fake

FS: Any = Fake()


def test_the_one_that_was_named() -> None:
    assert isinstance(server_for("native", FS, 5, Wishes()), Native)
    assert isinstance(server_for("pyfuse3", FS, 5, Wishes()), pyfuse3_server.Server)


@pytest.mark.parametrize(("release", "kind"), [("6.1.0", Native), ("4.4.0", pyfuse3_server.Server)])
def test_the_one_that_can_be_had(release: str, kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(release=release))
    assert isinstance(server_for("auto", FS, 5, Wishes()), kind)
    assert choice.OLDEST_KERNEL == (5, 4)


def test_without_libfuse_there_is_one_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "smbfs.fuse.pyfuse3_server", None)
    with pytest.raises(OSError, match="pyfuse3 is not installed, or libfuse 3 is missing"):
        server_for("pyfuse3", FS, 5, Wishes())
    assert isinstance(server_for("auto", FS, 5, Wishes()), Native)
