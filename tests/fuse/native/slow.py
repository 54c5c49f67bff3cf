"""A filesystem that answers when the test says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio

from tests.fuse.scripted import Fake


class Slow(Fake):
    """One whose answers come when the test says so."""

    def __init__(self, **answers: Any) -> None:
        super().__init__(**answers)
        self.go = trio.Event()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        answer = super().__getattr__(name)
        if name not in self.answers or name.endswith("_now"):
            return answer

        async def waiting(*arguments: Any, **named: Any) -> Any:
            await self.go.wait()
            return await answer(*arguments, **named)

        return waiting
