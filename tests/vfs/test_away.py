"""What goes on while the server is away: the mounted folder itself, and how full it was."""

from __future__ import annotations

import pytest
import trio.testing

from smbfs.errors import ConnectionLost
from smbfs.fuse.server import ROOT
from smbfs.vfs.namespace import SPACE_S
from tests.vfs.mounted import WHO, mounted

pytestmark = pytest.mark.logs("connection lost|is away")


async def test_the_folder_is_there_and_its_files_are_not(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with mounted(actimeo_s=1) as fake:
        fake.share.put("file", b"x")
        node = await fake.node("file")
        space = await fake.fs.statfs(WHO)
        fake.server.refuses_to_connect = ConnectionRefusedError("refused")
        fake.server.hang_up()
        await trio.sleep(SPACE_S + 1)
        with pytest.raises(ConnectionLost):
            await fake.fs.getattr(WHO, node, None)
        found = await fake.fs.getattr(WHO, ROOT, None)
        assert found.node == ROOT
        assert found.believe_s == 0, "the kernel asks again"
        assert await fake.fs.statfs(WHO) == space
        fake.server.refuses_to_connect = None
        await trio.sleep(6)
        assert (await fake.fs.getattr(WHO, node, None)).size == 1


async def test_what_was_never_known_is_not_told(autojump_clock: trio.testing.MockClock) -> None:
    async with mounted() as fake:
        fake.server.refuses_to_connect = ConnectionRefusedError("refused")
        fake.server.hang_up()
        await trio.sleep(1)
        with pytest.raises(ConnectionLost):
            await fake.fs.statfs(WHO)
