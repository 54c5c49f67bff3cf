"""Stand-ins for every room below `smbfs.mount`: what they are asked is noted."""

from __future__ import annotations

from typing import Any

import trio
import trio.testing

from smbfs.mountpoint import Mounted


class House:
    """All rooms below at once: what they are asked is noted, what they do is up to the test."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.events: list[str] = []
        self.prefix = ""
        self.table: list[Mounted] = []
        self.can_unmount = True
        self.failing: dict[str, BaseException] = {}
        self.waiting: set[str] = set()
        self.unmounted = trio.Event()
        self.nursery: trio.Nursery | None = None
        self.guarded = 0  # mounts that would be taken off if the daemon died

    async def does(self, what: str) -> None:
        """Note a step, then fail or wait if the test says so."""
        self.events.append(what)
        if what in self.failing:
            raise self.failing[what]
        if what in self.waiting:
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()

    # Link and Share

    def link(self, target: Any, policy: Any, logins: Any, dial: Any, nursery: trio.Nursery) -> Any:
        self.nursery = nursery
        return self

    async def close(self) -> None:
        await self.does("close link")

    def share(self, link: Any, prefix: str) -> Any:
        self.prefix = prefix
        return self

    async def connect(self) -> None:
        await self.does("connect")

    # Filesystem

    def filesystem(self, share: Any, shown: Any, data: Any, nursery: trio.Nursery) -> Any:
        return self

    async def start(self) -> None:
        await self.does("start")

    async def drain(self) -> None:
        await self.does("drain")

    # Server

    def server(self, transport: str, filesystem: Any, timeout_s: float, wishes: Any) -> Any:
        return Server(self)

    def guardian(self, path: str, device: str, command: list[str]) -> Any:
        self.guarded += 1
        return self

    def dismiss(self) -> None:
        self.guarded -= 1

    # The mount table

    async def unmount(self, path: str) -> None:
        await self.does("unmount")
        if self.can_unmount:
            self.umount()
            await trio.testing.wait_all_tasks_blocked()  # the server notices at once

    def umount(self) -> None:
        self.table.clear()
        self.unmounted.set()

    async def stop_files(self) -> None:
        """What comes to pass while the last data are sent."""

    async def write_back(self, path: str) -> None:
        await self.does("write back")


class Server:
    """The kernel server, whose `stop` is not the filesystem's."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.stopped = trio.Event()

    def attach(self, where: str, options: list[str]) -> None:
        house = self.house
        house.events.append("attach")
        if "attach" in house.failing:
            raise house.failing["attach"]
        house.table.append(Mounted("0:77", where, "fuse.smbfs", "//nas/music"))

    async def serve(self) -> None:
        await self.house.does("serve")
        async with trio.open_nursery() as nursery:

            async def until(event: trio.Event) -> None:
                await event.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(until, self.house.unmounted)
            nursery.start_soon(until, self.stopped)

    def stop(self) -> None:
        self.house.events.append("stop serving")
        if "last calls" not in self.house.waiting:
            self.stopped.set()

    def detach(self, *, unmount: bool) -> None:
        self.house.events.append(f"detach {unmount}")
        if unmount and self.house.can_unmount:
            self.house.umount()
