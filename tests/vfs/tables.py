"""A table of inodes with a clock, and stand-ins for what hangs on an inode."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from smbfs.engine.handle import Handle, HandleState
from smbfs.engine.information import Information
from smbfs.engine.steps import Step
from smbfs.errors import SmbError
from smbfs.fuse.server import errno_of
from smbfs.vfs.inode import Inode
from smbfs.vfs.inodes import Inodes
from smbfs.wire.constants import Attributes
from smbfs.wire.units import NameMap


class Table(Inodes):
    """Inodes with a clock that ticks at each question."""

    def __init__(self) -> None:
        super().__init__(NameMap.SFM)
        self.now_s = 0.0

    def see(self, path: str, *, ask_s: float = 10.0, **told: Any) -> Inode:
        """Let the server show a file at a path whose directories are known, ``ask_s`` later."""
        *above, name = path.encode().split(b"/")
        parent = self.root
        for part in above:
            parent = parent.children[part].inode
        self.now_s += ask_s
        return self.place(parent, name, Information(**told), None, self.moment(self.now_s))

    def directory(self, path: str, file_id: int, **told: Any) -> Inode:
        """The same for a directory."""
        return self.see(path, attributes=Attributes.DIRECTORY, file_id=file_id, **told)


class FakeHandle(Handle):
    """A handle that only notes that it was closed."""

    def __init__(self) -> None:
        self.closed = 0
        self.is_known = True

    @property
    def state(self) -> HandleState:
        return HandleState.OPEN if self.is_known else HandleState.LOST

    def close_soon(self) -> None:
        self.closed += 1


class FakeFile:
    """What content would hang on an inode."""

    def __init__(self, handle: Handle | None = None) -> None:
        self.handle, self.losses, self.unsent = handle, 0, 0
        self.leased_since_s = float("inf")

    def overlay(self, information: Information) -> Information:
        return replace(information, end_of_file=information.end_of_file + self.unsent)

    def lend(self) -> Handle | None:
        return self.handle

    def lost_belief(self) -> None:
        self.losses += 1

    def be_kept_no_longer(self) -> bool:
        return False

    async def settle(self, *steps: Step[Any]) -> list[Any] | None:
        self.unsent = 0
        return None


@contextmanager
def fails(number: int) -> Iterator[None]:
    """Expect an error that the kernel would be told as this number."""
    with pytest.raises((OSError, SmbError)) as caught:
        yield
    assert errno_of(caught.value) == number, caught.value
