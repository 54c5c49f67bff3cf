"""The reference itself against the real kernel: what it calls correct is what Linux does."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import trio
from hypothesis import HealthCheck, given, settings

from tests.model.disk import Disk
from tests.model.reference import Reference
from tests.model.walk import Step, Walk, steps


@settings(max_examples=40, derandomize=True, suppress_health_check=list(HealthCheck))
@given(walk=steps())
def test_the_reference_does_what_a_local_disk_does(walk: list[Step]) -> None:
    root = Path(tempfile.mkdtemp(prefix="smbfs-model-"))
    disk = Disk(root, root)
    try:
        trio.run(Walk(disk, Reference(is_share=False)).go, walk)
    finally:
        disk.abandon()
        shutil.rmtree(root)
