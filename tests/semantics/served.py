"""The fake server on a real port, for promises about what Samba has not: a mount cannot tell."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import trio

from tests.fake.login import PASSWORD, USER
from tests.fake.server import FakeServer
from tests.fake.tree import Volume

HOST = "127.0.0.1"
START_S = 10.0


class Served:
    """A fake server that listens on a loopback port, in a thread of its own, while in a ``with``.

    ``options`` are what a mount of it needs.  Its volume may be looked at when no call is under
    way.
    """

    def __init__(self, volume: Volume, home: Path) -> None:
        self.server = FakeServer(volume)
        self.port = 0
        self._credentials = home / "fake-credentials"
        self._credentials.write_text(f"username={USER}\npassword={PASSWORD}\n")
        self._credentials.chmod(0o600)
        self._scope = trio.CancelScope()
        self._token: trio.lowlevel.TrioToken | None = None
        self._is_listening = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=[self._serve], daemon=True)

    @property
    def options(self) -> list[str]:
        """The mount options that lead here."""
        return [f"port={self.port}", f"credentials={self._credentials}"]

    async def _serve(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        [listener] = await trio.open_tcp_listeners(0, host=HOST)
        self.port = listener.socket.getsockname()[1]
        with self._scope:
            async with trio.open_nursery() as nursery:
                self._is_listening.set()
                while True:
                    self.server.accept(await listener.accept(), nursery)
        self.server.hang_up()
        await listener.aclose()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._is_listening.wait(START_S)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        trio.from_thread.run_sync(self._scope.cancel, trio_token=self._token)
        self._thread.join(START_S)
