"""Extended attributes."""

import errno

import pytest
import trio
import trio.testing

from smbfs.fuse.server import MISS, ROOT, Node
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.script import Fails
from tests.fake.tree import Volume
from tests.vfs.mounted import WHO, Denies, Mounted, mounted
from tests.vfs.tables import fails

CREATE, REPLACE = 1, 2


async def file_with(m: Mounted, **eas: bytes) -> Node:
    m.share.put("file").eas = {name.encode(): value for name, value in eas.items()}
    return await m.node("file")


@pytest.mark.parametrize("name", [b"security.capability", b"security.ima", b"trusted.x"])
async def test_what_no_server_has_is_answered_at_once(name: bytes) -> None:
    async with mounted() as m:
        node = await file_with(m, x=b"1")
        with m.turns(0):
            with fails(errno.ENODATA):
                m.fs.getxattr_now(WHO, node, name)
            with fails(errno.ENODATA):
                await m.fs.getxattr(WHO, node, name)
            with fails(errno.ENODATA):
                await m.fs.removexattr(WHO, node, name)
            with fails(errno.EOPNOTSUPP):
                await m.fs.setxattr(WHO, node, name, b"v", 0)


@pytest.mark.parametrize("name", [b"system.posix_acl_access", b"system.nfs4_acl", b"x", b"user."])
async def test_what_is_not_supported(name: bytes) -> None:
    async with mounted() as m:
        node = await file_with(m, x=b"1")
        with m.turns(0):
            with fails(errno.EOPNOTSUPP):
                m.fs.getxattr_now(WHO, node, name)
            with fails(errno.EOPNOTSUPP):
                await m.fs.setxattr(WHO, node, name, b"v", 0)
            with fails(errno.EOPNOTSUPP):
                await m.fs.removexattr(WHO, node, name)


async def test_labels_are_not_supported_so_that_nobody_asks_twice() -> None:
    async with mounted() as m:
        node = await file_with(m)
        with m.turns(0), fails(errno.EOPNOTSUPP):
            m.fs.getxattr_now(WHO, node, b"security.selinux")


async def test_a_file_without_attributes_is_not_asked() -> None:
    async with mounted() as m:
        node = await file_with(m)
        with m.turns(0):
            assert await m.fs.listxattr(WHO, node) == []
            with fails(errno.ENODATA):
                m.fs.getxattr_now(WHO, node, b"user.x")


async def test_all_come_in_one_turnaround(autojump_clock: trio.testing.MockClock) -> None:
    async with mounted() as m:
        node = await file_with(m, one=b"1", two=b"2" * 3000)
        assert m.fs.getxattr_now(WHO, node, b"user.one") is MISS
        with m.turns(1):
            assert await m.fs.getxattr(WHO, node, b"user.one") == b"1"
            assert m.fs.getxattr_now(WHO, node, b"user.two") == b"2" * 3000
            assert await m.fs.listxattr(WHO, node) == [b"user.one", b"user.two"]
            with fails(errno.ENODATA):
                await m.fs.getxattr(WHO, node, b"user.three")
        await trio.sleep(1)
        assert m.fs.getxattr_now(WHO, node, b"user.one") is MISS


async def test_set_and_remove() -> None:
    async with mounted() as m:
        node = await file_with(m)
        with m.turns(1):
            await m.fs.setxattr(WHO, node, b"user.x", b"1", 0)
        assert m.share.node("file").eas == {b"x": b"1"}
        assert await m.fs.getxattr(WHO, node, b"user.x") == b"1"
        await m.fs.setxattr(WHO, node, b"user.x", b"2", REPLACE)
        with fails(errno.EEXIST):
            await m.fs.setxattr(WHO, node, b"user.x", b"3", CREATE)
        with fails(errno.ENODATA):
            await m.fs.setxattr(WHO, node, b"user.y", b"3", REPLACE)
        await m.fs.setxattr(WHO, node, b"user.y", b"4", CREATE)
        assert m.share.node("file").eas == {b"x": b"2", b"y": b"4"}
        await m.fs.removexattr(WHO, node, b"user.x")
        with fails(errno.ENODATA):
            await m.fs.removexattr(WHO, node, b"user.x")
        assert m.share.node("file").eas == {b"y": b"4"}


async def test_names_without_regard_to_case() -> None:
    async with mounted() as m:
        node = await file_with(m, Comment=b"1")
        assert await m.fs.getxattr(WHO, node, b"user.COMMENT") == b"1"
        with fails(errno.EEXIST):
            await m.fs.setxattr(WHO, node, b"user.comment", b"2", CREATE)
        assert await m.fs.listxattr(WHO, node) == [b"user.Comment"]


async def test_what_a_server_cannot_keep() -> None:
    async with mounted() as m:
        node = await file_with(m)
        with m.turns(0):
            with fails(errno.EOPNOTSUPP):
                await m.fs.setxattr(WHO, node, b"user.x", b"", 0)
            with fails(errno.E2BIG):
                await m.fs.setxattr(WHO, node, b"user.x", bytes(65536), 0)
            with fails(errno.ERANGE):
                await m.fs.setxattr(WHO, node, b"user." + b"x" * 256, b"1", 0)
            with fails(errno.EOPNOTSUPP):
                await m.fs.setxattr(WHO, node, "user.ä".encode(), b"1", 0)


async def test_a_share_without_attributes() -> None:
    async with mounted(Volume(eas=False)) as m:
        node = await file_with(m)
        with fails(errno.EOPNOTSUPP):
            await m.fs.setxattr(WHO, node, b"user.x", b"1", 0)
        with m.turns(0):
            with fails(errno.EOPNOTSUPP):
                await m.fs.setxattr(WHO, node, b"user.x", b"1", 0)
            with fails(errno.ENOSYS):  # the kernel makes EOPNOTSUPP of it, and asks never again
                m.fs.getxattr_now(WHO, node, b"security.capability")
            assert await m.fs.listxattr(WHO, node) == []


async def test_nouser_xattr() -> None:
    async with mounted(user_xattr=False) as m:
        node = await file_with(m, x=b"1")
        with m.turns(0):
            assert await m.fs.listxattr(WHO, node) == []
            with fails(errno.ENOSYS):
                await m.fs.getxattr(WHO, node, b"user.x")


async def test_more_than_usual() -> None:
    async with mounted() as m:
        node = await file_with(m, x=b"1")
        m.server.script.append(
            Denies(on=Command.QUERY_INFO, status=Status.BUFFER_OVERFLOW, times=1)
        )
        with m.turns(2):
            assert await m.fs.getxattr(WHO, node, b"user.x") == b"1"


async def test_errors_are_told() -> None:
    async with mounted() as m:
        node = await file_with(m, x=b"1")
        m.server.script.append(Fails(on=Command.CREATE, status=Status.ACCESS_DENIED, times=2))
        with fails(errno.EACCES):
            await m.fs.getxattr(WHO, node, b"user.x")
        with fails(errno.EACCES):
            await m.fs.listxattr(WHO, node)
        m.server.script.append(Denies(on=Command.QUERY_INFO, status=Status.EAS_NOT_SUPPORTED))
        assert await m.fs.listxattr(WHO, node) == []


async def test_a_deleted_file_that_is_open() -> None:
    async with mounted() as m:
        node = await file_with(m, x=b"1")
        opened = await m.open("file")
        assert await m.fs.getxattr(WHO, node, b"user.x") == b"1"
        await m.unlink("file")
        with m.turns(0):
            assert await m.fs.getxattr(WHO, node, b"user.x") == b"1"
        await m.fs.release(WHO, opened.fh)


async def test_attributes_of_the_root() -> None:
    async with mounted() as m:
        await m.fs.setxattr(WHO, ROOT, b"user.x", b"1", 0)
        assert await m.fs.listxattr(WHO, ROOT) == [b"user.x"]
