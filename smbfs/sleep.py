"""What a mount does when this machine goes to sleep, and when it wakes up.

logind tells so on the system bus, and waits a few seconds for whoever asked it to (systemd's
"Inhibitor Locks").  Before sleep what is unsent is sent and whoever waits for a server that is away
is answered: a program that the kernel finds waiting for us cannot be frozen, and the machine would
stay awake.  Afterwards the connection is made anew at once, for the server has given it up.

Easily broken: a machine without logind, or whose bus goes away, has no less of a mount; and the
lock is let go whatever happens, or every sleep would be late.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable

import jeepney
import trio
from jeepney.io.trio import DBusConnection, open_dbus_connection

log = logging.getLogger(__name__)

LOGIND = jeepney.DBusAddress(
    "/org/freedesktop/login1",
    bus_name="org.freedesktop.login1",
    interface="org.freedesktop.login1.Manager",
)
SIGNAL = "PrepareForSleep"
REPLY_SERIAL = jeepney.HeaderFields.reply_serial
PREPARE_S = 4.0  # logind waits five
WHY = "Data that was written to a network folder is sent"
FAILURES = (  # what a bus may end with
    OSError,
    EOFError,
    KeyError,  # there is no address of a bus
    ValueError,
    IndexError,
    AttributeError,  # an answer of another shape
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    trio.EndOfChannel,
    jeepney.AuthenticationError,
    jeepney.FDNegotiationError,
)

Prepare = Callable[[], Awaitable[None]]
Resume = Callable[[], None]


async def watch(prepare: Prepare, resume: Resume) -> None:
    """Call ``prepare`` before this machine sleeps and ``resume`` when it wakes; never raises."""
    try:
        # Not jeepney's router: it may raise nonsense when it is cancelled.
        connection = await open_dbus_connection("SYSTEM", enable_fds=True)
        async with connection:
            await _Listener(connection, prepare, resume).run()
    except FAILURES as error:
        log.debug("nobody tells when this machine goes to sleep: %r", error)


class _Listener:
    """Who hears logind, and holds the lock by which it waits for us."""

    def __init__(self, connection: DBusConnection, prepare: Prepare, resume: Resume) -> None:
        self._connection = connection
        self._prepare = prepare
        self._resume = resume
        self._asked = 0  # the number of the question for a lock
        self._lock = -1  # a descriptor

    async def run(self) -> None:
        """Listen until the bus goes away."""
        path = LOGIND.object_path
        rule = jeepney.MatchRule(
            type="signal", interface=LOGIND.interface, member=SIGNAL, path=path
        )
        try:
            add = jeepney.new_method_call(jeepney.message_bus, "AddMatch", "s", (rule.serialise(),))
            await self._connection.send(add)
            await self._ask()
            while True:
                message = await self._connection.receive()
                if rule.matches(message):
                    await self._told(bool(message.body[0]))
                elif message.header.fields.get(REPLY_SERIAL) == self._asked:
                    self._answered(message)
        finally:
            self._let_go()

    async def _told(self, begins: bool) -> None:
        if begins:
            await _prepared(self._prepare)
            self._let_go()
        else:
            log.info("this machine was asleep: connecting anew")
            self._resume()
            await self._ask()

    async def _ask(self) -> None:
        """Ask logind to wait for us."""
        self._asked = next(self._connection.outgoing_serial)
        body = ("sleep", "smbfs", WHY, "delay")
        ask = jeepney.new_method_call(LOGIND, "Inhibit", "ssss", body)
        await self._connection.send(ask, serial=self._asked)

    def _answered(self, message: jeepney.Message) -> None:
        self._let_go()
        if message.header.message_type == jeepney.MessageType.error:
            log.debug("logind does not wait for us: %s", message.body)
            return
        self._lock = message.body[0].to_raw_fd()

    def _let_go(self) -> None:
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)


async def _prepared(prepare: Prepare) -> None:
    log.info("this machine goes to sleep: sending what is unsent")
    with trio.move_on_after(PREPARE_S) as limit:
        try:
            await prepare()
        except Exception:
            log.exception("bug: could not get ready for sleep")
    if limit.cancelled_caught:
        log.warning("this machine goes to sleep before everything is sent")
