"""The random walk of tests/model on a real mount, with others changing the share's own disk."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from hypothesis import HealthCheck, given, settings

from tests.model.disk import Disk
from tests.model.reference import Reference
from tests.model.walk import Step, Walk, steps
from tests.mount.ground import Lasting, complaints, eventually
from tests.mounted import LIMIT_S, MountedShare
from tests.samba import Samba


@pytest.fixture(scope="module")
def walked(server: Samba, transport: str) -> Iterator[MountedShare]:
    """A mount that believes nothing, for all walks."""
    lasting = Lasting(server, "share", "actimeo=0")
    mounted = lasting.get()
    with mounted.limited(LIMIT_S):
        yield mounted
    lasting.close()


@settings(max_examples=10, derandomize=True, suppress_health_check=list(HealthCheck))
@given(walk=steps(space=False))
def test_a_mounted_share_does_what_the_reference_does(
    walk: list[Step], walked: MountedShare
) -> None:
    theirs = Path(tempfile.mkdtemp(prefix="walk-", dir=walked.behind))
    disk = Disk(walked.path / theirs.name, theirs)
    try:
        trio.run(Walk(disk, Reference()).go, walk)
    finally:
        disk.abandon()
    assert eventually(lambda: not list(theirs.rglob(".smbfs*")))
    assert complaints(walked.log(), []) == []
