"""A random walk: operations by us and by others, done to a system and to the reference alike.

A `System` is anything that can do what `Reference` does: a directory of the real kernel, or the
filesystem of this program on a fake server.  After each step both must look the same.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from hypothesis import note
from hypothesis import strategies as st

from smbfs.errors import SmbError
from tests.model.reference import FILE, Node, Reference, Shape

PATHS = ["a", "b", "d", "e", "d/a", "d/b", "d/e", "e/a", "d/e/a"]
SLOTS = 3
TARGETS = ["nowhere", "../no/where", "/nonexistent"]
OF_SLOTS = {"open", "close", "read", "write", "ftruncate", "fsync", "fstat", "read_sparsely"}
SPACE = {"copy", "allocate"}  # what not every kernel server passes on
WRITING = {"write", "ftruncate", *SPACE}
Some = st.SearchStrategy[Any]
THEIRS = "their_"  # how the steps of others are called


@dataclass(frozen=True)
class Step:
    """One operation; those that begin with `THEIRS` are done by somebody else."""

    name: str
    arguments: tuple[Any, ...] = ()

    def __repr__(self) -> str:
        shown = [
            f"{one[:1]!r} * {len(one)}" if isinstance(one, bytes) else repr(one)
            for one in self.arguments
        ]
        return f"{self.name}({', '.join(shown)})"


class System(Protocol):
    """What is compared with the reference: each step is a method of this name."""

    async def shapes(self) -> dict[str, Shape]:
        """Everything that has a name, as stat tells it."""

    async def content(self, path: str) -> bytes:
        """All bytes of a file, read by a descriptor of their own."""

    async def settle(self) -> None:
        """Have everything on the server, for others to see."""

    async def behind(self) -> dict[str, bytes | None]:
        """The bytes of all files as others see them; None for what is no file."""

    async def time_passes(self) -> None:
        """Let pass what is believed without asking."""


@dataclass(frozen=True)
class Nth:
    """One of the paths, or of the descriptors, that there are when the step is taken."""

    number: int


PRELUDE = [
    Step("mkdir", ("d",)),
    Step("mkdir", ("d/e",)),
    Step("open", (0, "a", os.O_RDWR | os.O_CREAT)),
    Step("write", (0, 0, b"first" * 1000)),
    Step("close", (0,)),
    Step("open", (1, "d/a", os.O_RDWR | os.O_CREAT | os.O_EXCL)),
    Step("write", (1, 3, b"second")),
    Step("open", (2, "d/b", os.O_RDWR | os.O_CREAT)),
    Step("close", (2,)),
]


def steps(*, space: bool = True) -> st.SearchStrategy[list[Step]]:
    """Walks of a few dozen steps from the same beginning; without ``space`` none of `SPACE`."""
    some = st.builds(Nth, st.integers(0, 12))
    paths = st.one_of(some, some, st.sampled_from(PATHS))
    slots = st.builds(Nth, st.integers(0, SLOTS - 1))
    sizes = st.sampled_from([0, 1, 7, 4095, 4096, 5000, 70_000])
    data = st.builds(lambda size, letter: bytes([letter]) * size, sizes, st.integers(65, 90))
    flags = st.builds(
        lambda mode, create, more: mode | create | more,
        st.sampled_from([os.O_RDWR] * 3 + [os.O_RDONLY]),
        st.sampled_from([0, os.O_CREAT, os.O_CREAT, os.O_CREAT | os.O_EXCL]),
        st.sampled_from([0, 0, os.O_APPEND, os.O_DIRECT]),
    )
    rows = {
        **_theirs(paths, data),
        "mkdir": [paths],
        "symlink": [paths, st.sampled_from(TARGETS)],
        "link": [paths, paths],
        "unlink": [paths],
        "rmdir": [paths],
        "rename": [paths, paths, st.sampled_from([True, True, False])],
        "chmod": [paths, st.booleans()],
        "open": [slots, paths, flags],
        "close": [slots],
        "read": [slots, sizes, sizes],
        "write": [slots, sizes, data],
        "ftruncate": [slots, sizes],
        "copy": [slots, slots, sizes, sizes, sizes],
        "allocate": [slots, st.sampled_from([0, 1, 3, 16, 17]), sizes, sizes],
        "read_sparsely": [slots],
        "truncate": [paths, sizes],
        "fsync": [slots],
        "fstat": [slots],
        "time_passes": [],
        "look": [],
    }
    often = ["open", "open", "write", "write", "write", "read", "rename", "rename", "unlink"]
    names = st.sampled_from([name for name in [*rows, *often] if space or name not in SPACE])
    one = names.flatmap(lambda name: st.builds(Step, st.just(name), st.tuples(*rows[name])))
    return st.lists(one, min_size=8, max_size=30).map(lambda walk: [*PRELUDE, *walk])


def _theirs(paths: Some, data: Some) -> dict[str, Sequence[Some]]:
    """What others may do."""
    return {
        "their_write": [paths, data],
        "their_unlink": [paths],
        "their_rename": [paths, paths],
        "their_mkdir": [paths],
        "their_rmdir": [paths],
    }


@dataclass
class Walk:
    """A system and the reference side by side."""

    system: System
    reference: Reference
    counts_links: bool = True  # False: a listing, which does not tell, may be believed
    taken: set[Node] = field(default_factory=set)  # files of which others removed a name

    async def go(self, walk: Sequence[Step]) -> None:
        """Take every step, comparing after each, then close what is open and compare all."""
        for planned in walk:
            step = self._resolved(planned)
            if step is None:
                continue
            note(repr(step))
            if step.name == "look":
                await self.look()
            elif step.name == "time_passes":
                await self.system.time_passes()
            elif step.name.startswith(THEIRS):
                await self._theirs(step)
            else:
                await self._ours(step)
            assert self._shown(await self.system.shapes()) == self._shown(
                self.reference.shapes()
            ), step
        for slot in list(self.reference.slots):
            await self._ours(Step("close", (slot,)))
        await self.look()

    async def look(self) -> None:
        """Compare every byte, from both sides."""
        files = {
            path: self.reference.content(path) if shape[0] == FILE else None
            for path, shape in self.reference.shapes().items()
        }
        for path, wanted in files.items():
            if wanted is not None:
                assert await self.system.content(path) == wanted, path
        await self.system.settle()
        assert await self.system.behind() == files

    def _shown(self, shapes: dict[str, Shape]) -> dict[str, Shape]:
        if self.counts_links:
            return shapes
        return {path: (kind, told, 0, last) for path, (kind, told, _, last) in shapes.items()}

    async def _ours(self, step: Step) -> None:
        wanted = outcome_now(self.reference, step)
        found = await outcome(self.system, step)
        if step.name == "fstat" and self.reference.slots[step.arguments[0]].node in self.taken:
            wanted = found = {}  # a server need not say that others took the last name
        assert found == wanted, f"{step}: {found}, not {wanted}"

    async def _theirs(self, step: Step) -> None:
        await self.system.settle()
        if "error" in outcome_now(self, step):
            return
        await getattr(self.system, step.name)(*step.arguments)
        await self.system.time_passes()

    # What others do, in the terms of the reference

    def their_write(self, path: str, data: bytes) -> None:
        parent, name = self.reference.place(path)
        if name in parent.children and parent.children[name].kind != FILE:
            raise OSError(errno.EISDIR, "only files are written")
        self.reference.open(SLOTS, path, os.O_CREAT | os.O_TRUNC)
        self.reference.write(SLOTS, 0, data)
        self.reference.close(SLOTS)

    def their_unlink(self, path: str) -> None:
        self.taken.add(self.reference.find(path))
        self.reference.unlink(path)

    def their_rename(self, path: str, new: str) -> None:
        self.reference.rename(path, new, False)

    def their_mkdir(self, path: str) -> None:
        self.reference.mkdir(path)

    def their_rmdir(self, path: str) -> None:
        self.reference.rmdir(path)

    def _resolved(self, step: Step) -> Step | None:
        """The step with paths and slots that exist now; None if there is no such slot."""
        paths, slots = sorted(self.reference.shapes()), sorted(self.reference.slots)
        if step.name == "open":
            slots = [slot for slot in range(SLOTS) if slot not in slots]
        if step.name in WRITING:
            slots = [n for n in slots if self.reference.slots[n].flags & os.O_ACCMODE]
        arguments = list(step.arguments)
        for index, argument in enumerate(arguments):
            if isinstance(argument, Nth):
                among: Sequence[object] = paths
                if step.name in SPACE or (step.name in OF_SLOTS and index == 0):
                    among = slots
                if not among:
                    return None
                arguments[index] = among[argument.number % len(among)]
        return Step(step.name, tuple(arguments))


def outcome_now(actor: object, step: Step) -> dict[str, object]:
    """What came of a step, as a value or an error number."""
    try:
        return {"value": getattr(actor, step.name)(*step.arguments)}
    except OSError as error:
        return {"error": errno.errorcode[error.errno or 0]}


async def outcome(system: System, step: Step) -> dict[str, object]:
    """The same for a system."""
    try:
        return {"value": await getattr(system, step.name)(*step.arguments)}
    except (OSError, SmbError) as error:
        number = error.errno or 0
        # What a directory that is not empty gives is one of two, says POSIX.
        number = errno.ENOTEMPTY if number == errno.EEXIST and is_rename(step) else number
        return {"error": errno.errorcode[number]}


def is_rename(step: Step) -> bool:
    return step.name == "rename" and bool(step.arguments[2])
