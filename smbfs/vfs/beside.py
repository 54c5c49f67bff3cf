"""Looking at a directory beside a change in it, so that both cost one turnaround.

Whoever changes names in a directory is asked by the kernel, before the next change, what the
directory is now; the answer is fetched behind the change without waiting for it.

Easily broken: servers may do what was sent one after the other at the same time, so what comes is
believed only if it shows that the directory has changed, and only if no other change of ours came
in between.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from smbfs.engine.how import How
from smbfs.engine.information import Information
from smbfs.engine.steps import query_all
from smbfs.errors import SmbError
from smbfs.vfs.inode import Inode, Moment
from smbfs.vfs.volume import Volume


@dataclass(slots=True, eq=False)
class Look:
    """One look at a directory that is being changed."""

    inode: Inode
    before: Information
    changed: trio.Event = field(default_factory=trio.Event)  # the change has come to its end
    tick: int = 0  # of that change


@asynccontextmanager
async def beside(volume: Volume, *parents: Inode) -> AsyncIterator[None]:
    """Change names in directories inside, and have them looked at in the same turnaround."""
    wanted = dict.fromkeys(parents) if volume.policy.looks_beside else ()
    looks = [_begun(volume, parent) for parent in wanted if parent.look is None]
    try:
        yield
    finally:
        for look in looks:
            look.tick = look.inode.changed
            look.changed.set()


def _begun(volume: Volume, inode: Inode) -> Look:
    look = Look(inode, inode.information)
    inode.look = trio.Event()
    # It runs when we first wait, and so the change is sent before it.
    volume.nursery.start_soon(_look, volume, look)
    return look


async def _look(volume: Volume, look: Look) -> None:
    inode = look.inode
    done, asked = inode.look, volume.moment()
    try:
        information = await _asked(volume, inode)
        await look.changed.wait()
        if (seen := _believed(volume, look, information, asked)) is not None:
            volume.inodes.learn(inode, information, inode.special, seen)
    except (SmbError, OSError):
        return  # who needs it asks, and is told why
    finally:
        inode.look = None
        assert isinstance(done, trio.Event)
        done.set()


async def _asked(volume: Volume, inode: Inode) -> Information:
    """What the server says a directory is: by the handle that watches it, which is cheapest."""
    if (handle := volume.watches.handle_of(inode)) is not None:
        [information] = await handle.do(query_all())
    else:
        _, information = await volume.share.on(
            volume.inodes.path(inode), How.looking(), query_all()
        )
    assert isinstance(information, Information)
    return information


def _believed(volume: Volume, look: Look, information: Information, asked: Moment) -> Moment | None:
    """As of when an answer is to be believed; None if it may be from before the change."""
    inode, old = look.inode, look.before
    if inode.changed <= asked.tick:
        return asked
    is_after = (information.last_write_time, information.change_time) != (
        old.last_write_time,
        old.change_time,
    )
    return volume.inodes.moment(asked.at_s) if is_after and inode.changed == look.tick else None
