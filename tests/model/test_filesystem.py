"""The filesystem on a fake server, step by step against the reference.

Both clients change things: we, as the kernel would ask, and others behind our back.  Virtual time
passes, so that what is believed for a second is believed here too, and no longer.
"""

from __future__ import annotations

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings

from tests.fake.tree import Volume
from tests.model.kernel import Kernel
from tests.model.reference import Reference
from tests.model.walk import Step, Walk, steps
from tests.vfs.mounted import mounted


async def walked(walk: list[Step], actimeo_s: float) -> None:
    """Take a walk on a new share; in the end nothing may be left on either side."""
    async with mounted(Volume(), actimeo_s=actimeo_s) as ours:
        kernel = Kernel(ours)
        await Walk(kernel, Reference(), counts_links=not actimeo_s).go(walk)
        kernel.give_up()
        assert len(ours.volume.inodes) == 1
        await trio.testing.wait_all_tasks_blocked()
        assert not [name for name in ours.share.names() if name.startswith(".smbfs")]


@pytest.mark.parametrize("actimeo_s", [0.0, 1.0])
def test_the_filesystem_does_what_the_reference_does(actimeo_s: float) -> None:
    @settings(max_examples=20, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(walk=steps())
    def any_walk(walk: list[Step]) -> None:
        async def go() -> None:
            await walked(walk, actimeo_s)

        trio.run(go, clock=trio.testing.MockClock(autojump_threshold=0))

    any_walk()
