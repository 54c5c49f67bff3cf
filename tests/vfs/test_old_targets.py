"""The kernel is made to forget what it was told, before it is told something else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
import trio.testing

from smbfs.fuse.server import Deaf, Node
from smbfs.vfs.volume import KERNEL_S
from smbfs.wire.symlink import pack_mfsymlink
from tests.vfs.mounted import WHO, mounted


class Told(Deaf):
    """A kernel that notes whose data it is to drop, and does so at once."""

    def __init__(self) -> None:
        self.dropped: list[int] = []

    def data_changed(
        self, node: Node, offset: int = 0, size: int = -1, then: Callable[[], None] | None = None
    ) -> None:
        self.dropped.append(node)
        super().data_changed(node, offset, size, then)


async def test_the_kernel_forgets_where_a_link_led() -> None:
    async with mounted(actimeo_s=0.0, acregmax_s=0.0, acdirmax_s=0.0) as m:
        kernel = Told()
        m.fs.hear(kernel)
        m.share.put("link", pack_mfsymlink(b"one"))
        node = await m.node("link")
        assert kernel.dropped == []  # it was made just now
        m.share.put("link", pack_mfsymlink(b"two"))
        assert await m.node("link") == node
        assert kernel.dropped == [node]
        assert await m.fs.readlink(WHO, node) == b"two"
        m.share.put("link", pack_mfsymlink(b"three"))
        await m.listed("")
        assert kernel.dropped == [node, node]
        # After a change of ours what is known is distrusted, and the target no less.
        await m.rename("link", "other")
        m.share.put("other", pack_mfsymlink(b"four"))
        await m.fs.getattr(WHO, node, None)
        assert kernel.dropped == [node] * 3


async def test_where_a_link_leads_is_told_without_waiting_for_oneself() -> None:
    async with mounted(actimeo_s=0.0, acregmax_s=0.0, acdirmax_s=0.0) as m:
        kernel = Told()
        m.fs.hear(kernel)
        m.share.put("link", pack_mfsymlink(b"one"))
        node = await m.node("link")
        m.share.put("link", pack_mfsymlink(b"two"))
        assert await m.fs.readlink(WHO, node) == b"two"
        assert kernel.dropped == []  # its page is being filled with just this answer


class Stuck(Deaf):
    """A kernel that does not get to it."""

    def data_changed(
        self, node: Node, offset: int = 0, size: int = -1, then: Callable[[], None] | None = None
    ) -> None:
        """Never call ``then``."""


@pytest.mark.logs("the kernel keeps old data")
async def test_a_kernel_that_does_not_get_to_it_is_not_waited_for(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with mounted() as m:
        m.fs.hear(Stuck())
        await m.volume.dropped(m.volume.inodes.root)
        assert trio.current_time() >= KERNEL_S
