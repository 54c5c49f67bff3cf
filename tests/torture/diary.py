"""What a program was told by the mount, call by call: the only witness of a run.

A workload writes one line of JSON for each call, at once, so that one that hangs has said in which;
the judge reads them.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass
class Diary:
    """The diary of one program, kept on this machine's disk."""

    path: Path
    until: float  # time.monotonic() when the program is to end
    _fd: int = field(init=False)

    def __post_init__(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._fd = os.open(self.path, flags, 0o600)

    @property
    def is_over(self) -> bool:
        """Whether the program is to end."""
        return time.monotonic() >= self.until

    def say(self, **what: Any) -> None:
        """Write a line."""
        os.write(self._fd, json.dumps(what).encode() + b"\n")

    def call(self, name: str, do: Callable[..., T], *arguments: Any) -> T:
        """Do one call on the mount and write down how long it took and what it raised."""
        began = time.monotonic()
        self.say(begins=name)
        try:
            result = do(*arguments)
        except OSError as error:
            number = errno.errorcode.get(error.errno or 0, str(error.errno))
            self.say(call=name, s=time.monotonic() - began, error=number)
            raise
        self.say(call=name, s=time.monotonic() - began)
        return result

    @contextlib.contextmanager
    def forgiving(self) -> Iterator[None]:
        """Let what is inside fail, as calls do while a server is away; try again a bit later."""
        try:
            yield
        except OSError:
            time.sleep(0.05)

    def wrong(self, what: str) -> None:
        """Say that the mount told something that cannot be true."""
        self.say(wrong=what)


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a diary; a last one that was not written to its end is left out."""
    lines = path.read_text().splitlines() if path.exists() else []
    found = []
    for line in lines:
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return found
