"""Megabytes over a slow line take longer than `timeout=`, and that is no reason to cut them."""

from __future__ import annotations

import os
import time

import pytest

from tests.line import Line
from tests.mounted import MountedShare
from tests.samba import Place, Samba

pytestmark = pytest.mark.usefixtures("transport")
RATE = 800_000  # bytes a second
SIZE = 3_000_000


def test_reads_and_writes_outlast_the_deadline(samba: Samba, share: Place) -> None:
    data = os.urandom(SIZE)
    with (
        Line(samba.port, rate=RATE) as line,
        MountedShare(samba, "share", f"port={line.port}", "timeout=2") as mounted,
    ):
        started = time.monotonic()
        with (mounted.path / "file").open("wb") as file:
            file.write(data)
            os.fsync(file.fileno())
        assert time.monotonic() - started > 2
        started = time.monotonic()
        assert (mounted.path / "file").read_bytes() == data
        assert time.monotonic() - started > 2
    assert (share.path / "file").read_bytes() == data
