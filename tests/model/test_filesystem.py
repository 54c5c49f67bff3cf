"""The filesystem on a fake server, step by step against the reference.

Both clients change things: we, as the kernel would ask, and others behind our back.  Virtual time
passes, so that what is believed for a second is believed here too, and no longer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings

from smbfs.vfs.namespace import SPACE_S
from smbfs.wire.constants import Fsctl
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.script import BadDay, Delay, Pending, Reorders, ShortReads, Starves
from tests.fake.tree import Volume
from tests.model.kernel import Kernel
from tests.model.reference import Reference
from tests.model.walk import Step, Walk, steps
from tests.vfs.mounted import WHO, mounted

Server = Callable[[], tuple[Volume, Sequence[BadDay]]]


def plain() -> tuple[Volume, Sequence[BadDay]]:
    return Volume(), ()


def poor() -> tuple[Volume, Sequence[BadDay]]:
    """A server that is slow, gives little, and answers in an order of its own."""
    script = (
        Reorders(),
        Pending(on=Command.WRITE, seconds=0.3),
        Delay(on=Command.CLOSE, seconds=0.1),
        ShortReads(size=3000),
        Starves(credits=3),
    )
    share = Volume(case_sensitive=True, reparse=False, eas=False)
    share.abilities.copy_size = 1 << 16
    share.abilities.refused = {Fsctl.SRV_COPYCHUNK_WRITE: Status.NOT_SUPPORTED}
    return share, script


def rich() -> tuple[Volume, Sequence[BadDay]]:
    """A server that shares blocks."""
    share = Volume()
    share.abilities.clones = share.abilities.tells_some = True
    return share, ()


async def walked(
    walk: list[Step], volume: Volume, script: Sequence[BadDay], actimeo_s: float
) -> None:
    """Take a walk on a new share; in the end nothing may be left on either side."""
    async with mounted(volume, actimeo_s=actimeo_s) as ours:
        ours.server.script.extend(script)
        kernel = Kernel(ours)
        await Walk(kernel, Reference(), counts_links=not actimeo_s).go(walk)
        kernel.give_up()
        assert len(ours.volume.inodes) == 1
        for _ in range(2):  # what could not be closed for want of credits goes with the next call
            await trio.sleep(SPACE_S)
            await ours.fs.statfs(WHO)
        assert not [name for name in ours.share.names() if name.startswith(".smbfs")]


@pytest.mark.parametrize("actimeo_s", [0.0, 1.0])
@pytest.mark.parametrize("server", [plain, poor, rich])
def test_the_filesystem_does_what_the_reference_does(server: Server, actimeo_s: float) -> None:
    @settings(max_examples=15, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(walk=steps())
    def any_walk(walk: list[Step]) -> None:
        async def go() -> None:
            await walked(walk, *server(), actimeo_s)

        trio.run(go, clock=trio.testing.MockClock(autojump_threshold=0))

    any_walk()
