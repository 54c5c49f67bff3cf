"""One mount: ordered start, serving, ordered stop.

Turns options into what each room wants, opens the one long-lived nursery and ends it.  Easily
broken: the stop is a list of steps in this order, each shielded and with a deadline of its own;
the kernel is asked to unmount first and answered while it writes its last bytes, because what is
closed before that is lost.  Signals are heard from the first moment: one that came between the
mount and its first answer would leave a dead mount behind.
"""

from __future__ import annotations

import logging
import math
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import trio

from smbfs import control, mountpoint, sleep
from smbfs.auth import Login
from smbfs.engine.link import Link, Target
from smbfs.engine.share import Share
from smbfs.errors import ConnectionLost, SmbError, StatusError
from smbfs.fuse.choice import KernelServer, server_for
from smbfs.fuse.server import DATA_PATIENCE
from smbfs.guardian import Guardian
from smbfs.options import MountOptions
from smbfs.reasons import Interrupted, MountFailed, reason_of
from smbfs.report import Recent, Reporter
from smbfs.settings import data_of, dial_of, losses_of, policy_of, presentation_of, wishes_of
from smbfs.spool import Spool
from smbfs.vfs.filesystem import Filesystem
from smbfs.wire.status import SENTENCES
from smbfs.wire.units import to_wire

__all__ = ["Interrupted", "Mount", "MountFailed", "Stop", "reason_of", "run"]

log = logging.getLogger(__name__)

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
STEP_S = 5.0  # of the ordered stop, where no data are sent
LONGEST_S = 600.0  # to send the last data, when calls have no limit at all
PROBE_S = 10.0


@dataclass(slots=True)
class Stop:
    """What the signals said: nothing, to leave, to leave at once."""

    asked: trio.Event = field(default_factory=trio.Event)
    is_hurried: bool = False
    _under_way: trio.CancelScope | None = None

    def heard(self, number: int) -> None:
        """Take one signal; the second one ends the step that is under way and skips the rest."""
        if self.asked.is_set():
            self.is_hurried = True
            if self._under_way is not None:
                self._under_way.cancel()
        log.info("%s: %s", signal.Signals(number).name, "hurrying" if self.is_hurried else "ending")
        self.asked.set()

    async def step(
        self, what: str, action: Callable[[], Awaitable[object]], seconds: float
    ) -> None:
        """Do one step of the stop; a failure is logged and the next one comes."""
        if self.is_hurried:
            log.warning("no time to %s", what)
            return
        with trio.move_on_after(seconds, shield=True) as self._under_way:
            try:
                await action()
            except Exception:
                log.exception("could not %s", what)
        if self._under_way.cancelled_caught:
            log.error("gave up to %s", what)
        self._under_way = None


@dataclass(slots=True)
class Mount:
    """Everything that belongs to one running mount."""

    options: MountOptions
    mountpoint: str
    link: Link
    filesystem: Filesystem
    server: KernelServer
    device: str = ""  # in the kernel's mount table
    guardian: Guardian | None = None
    recent: Recent = field(default_factory=Recent)
    is_ready: bool = False
    _is_ending: bool = False
    ended: trio.Event = field(default_factory=trio.Event)  # the kernel asks no more

    def attach(self) -> None:
        """Mount; raises MountFailed."""
        try:
            self.server.attach(self.mountpoint, mountpoint.fuse_options(self.options))
        except OSError as error:
            raise MountFailed(f"cannot mount on {self.mountpoint}: {error.strerror}") from error
        mounted = mountpoint.mounted_on(self.mountpoint)
        if mounted is not None:
            self.device = mounted.device
            command = mountpoint.unmount_command(self.mountpoint, lazy=True)
            self.guardian = Guardian(self.mountpoint, self.device, command)

    def tell(self, nursery: trio.Nursery) -> None:
        """Answer who asks how the mount is, and write down what it loses."""
        try:
            losses = losses_of(self.options)
        except OSError as error:
            log.warning("nobody can be told later what was lost: %s", error)
        else:
            if losses is not None:
                note = partial(losses.note, self.mountpoint, str(self.options.service))
                self.filesystem.content.ground.on_lost = note
        link, filesystem, recent = self.link, self.filesystem, self.recent
        filesystem.volume.mounted_over = partial(mountpoint.beneath, self.mountpoint)
        reporter = Reporter(self.options, self.mountpoint, link, filesystem, recent)
        logging.getLogger().addHandler(recent)
        if not self.device or self.options.daemon.control == "":
            return
        try:
            listener = control.listen(self.device)
        except OSError as error:
            log.warning("`smbfs status` cannot ask this mount: %s", error)
        else:
            nursery.start_soon(control.serve, listener, {"status": reporter.status})

    async def get_ready_for_sleep(self) -> None:
        """Let nobody wait, and send what is unsent."""
        self.filesystem.volume.share.be_soft()
        await self.filesystem.drain()

    def be_ending(self) -> None:
        """Wait for nobody for long any more, and put into the spool what cannot be sent."""
        if self._is_ending:
            return
        self._is_ending = True
        self.filesystem.volume.share.be_soft()
        self.filesystem.content.ground.ends()
        if self.options.daemon.spool:
            keep = Spool(Path(self.options.daemon.spool)).keep
            about = self.mountpoint, str(self.options.service)
            self.filesystem.content.ground.on_unsent = partial(keep, *about)

    def wake_up(self) -> None:
        """Go on after sleep."""
        share = self.filesystem.volume.share
        if not self._is_ending:  # who is told to end waits for nobody any more
            share.be_as_asked()
        share.renew("this machine was asleep")

    @property
    def is_attached(self) -> bool:
        """Whether the mount table still holds it, and nothing lies above it."""
        on = mountpoint.mounted_on(self.mountpoint) if self.device else None
        return on is not None and on.device == self.device

    def note_the_end(self) -> None:
        """Note that the kernel asks no more: from now on another mount may have our number."""
        if not self.is_attached:
            self.device = ""
            self.dismiss()
        self.ended.set()

    def dismiss(self) -> None:
        """Send the guardian home."""
        guardian, self.guardian = self.guardian, None
        if guardian is not None:
            guardian.dismiss()

    @property
    def data_s(self) -> float:
        """How long it may take to send the last data; who hangs is found out much earlier."""
        return min(self.options.server.timeout_s * DATA_PATIENCE, LONGEST_S)


async def run(
    options: MountOptions,
    where: str,
    logins: Callable[[], Sequence[Login]],
    ready: Callable[[], None],
    stopping: Callable[[], None],
) -> None:
    """Mount, call ``ready`` once the mount answers, serve until unmounted or told to stop.

    Raises MountFailed if it does not come to serving, Interrupted if a signal was first or a
    second one came, and whatever else went wrong, always after unmounting.
    """
    stop = Stop()
    try:
        with trio.open_signal_receiver(*ENDING) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_listen, signals, stop)
                await _run(options, where, logins, ready, stopping, stop)
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise reason_of(group) from group


async def _run(
    options: MountOptions,
    where: str,
    logins: Callable[[], Sequence[Login]],
    ready: Callable[[], None],
    stopping: Callable[[], None],
    stop: Stop,
) -> None:
    async with trio.open_nursery() as nursery:
        mount = await _unless(stop, partial(_start, options, where, logins, nursery))
        try:
            mount.attach()
            mount.tell(nursery)
            nursery.start_soon(sleep.watch, mount.get_ready_for_sleep, mount.wake_up)
            await _serve(mount, ready, stop)
        finally:
            stopping()
            await _stop(mount, stop)
            logging.getLogger().removeHandler(mount.recent)
            nursery.cancel_scope.cancel()
    if stop.is_hurried:
        raise Interrupted("ended at once, as asked; what was not sent yet is lost")
    if not mount.is_ready:
        raise Interrupted("interrupted; nothing is mounted")


async def _listen(signals: AsyncIterator[int], stop: Stop) -> None:
    async for number in signals:
        stop.heard(number)


async def _unless(stop: Stop, start: Callable[[], Awaitable[Mount]]) -> Mount:
    """Start, unless a signal comes first."""
    mount: Mount | None = None
    async with trio.open_nursery() as nursery:

        async def give_up() -> None:
            await stop.asked.wait()
            nursery.cancel_scope.cancel()

        nursery.start_soon(give_up)
        mount = await start()
        nursery.cancel_scope.cancel()
    if mount is None:
        raise Interrupted("interrupted; nothing is mounted")
    return mount


# The start


async def _start(
    options: MountOptions, where: str, logins: Callable[[], Sequence[Login]], nursery: trio.Nursery
) -> Mount:
    service = options.service
    link = Link(
        Target(service.server, service.share),
        policy_of(options),
        logins,
        dial_of(options),
        nursery,
    )
    try:
        filesystem = await _share(options, link, nursery)
    except BaseException:
        await link.close()
        raise
    try:
        server = _server(options, filesystem)
    except BaseException:
        await link.close()
        raise
    return Mount(options, where, link, filesystem, server)


def _server(options: MountOptions, filesystem: Filesystem) -> KernelServer:
    transport, server = options.daemon.transport, options.server
    timeout_s = math.inf if server.hard else server.timeout_s
    try:
        return server_for(transport, filesystem, timeout_s, wishes_of(options))
    except OSError as error:
        raise MountFailed(f"cannot serve a mount: {error.strerror}") from error


async def _share(options: MountOptions, link: Link, nursery: trio.Nursery) -> Filesystem:
    """Connect, and see that the folder is there; raises MountFailed."""
    service = options.service
    prefix = "\\".join(
        to_wire(os.fsencode(part), options.presentation.names) for part in service.directory
    )
    share = Share(link, prefix)
    try:
        await share.connect()
        if options.server.persistent and not share.facts.is_continuous:
            raise MountFailed(
                f"{service}: the server keeps no open files of this share when it has to start "
                "anew. Remove `persistenthandles`"
            )
        filesystem = Filesystem(share, presentation_of(options), data_of(options), nursery)
        await filesystem.start()
    except StatusError as error:
        said = SENTENCES.get(error.status)
        sentence = f"{said[:1].lower()}{said[1:]}" if said else str(error)
        raise MountFailed(f"{service}: {sentence}") from error
    except SmbError as error:
        is_unreachable = isinstance(error, ConnectionLost)
        raise MountFailed(f"{service}: {error}", is_unreachable=is_unreachable) from error
    except OSError as error:
        raise MountFailed(f"{service}: {error.strerror or error}") from error
    return filesystem


# Serving


async def _serve(mount: Mount, ready: Callable[[], None], stop: Stop) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_answer, mount, nursery.cancel_scope)
        nursery.start_soon(_leave_when_asked, mount, stop, nursery.cancel_scope)
        await _probe(mount)
        await trio.to_thread.run_sync(mountpoint.tune, mount.mountpoint, mount.options)
        log.info("%s is mounted on %s", mount.options.service, mount.mountpoint)
        ready()
        mount.is_ready = True


async def _answer(mount: Mount, scope: trio.CancelScope) -> None:
    """Serve the kernel; the end of it, by umount, is the end of the mount."""
    try:
        await mount.server.serve()
    except OSError as error:
        raise MountFailed(f"cannot serve {mount.mountpoint}: {error.strerror}") from error
    mount.note_the_end()
    scope.cancel()


async def _probe(mount: Mount) -> None:
    """See that the mount answers; in a thread, or the event loop would wait for itself."""
    with trio.move_on_after(PROBE_S):
        try:
            await trio.to_thread.run_sync(os.lstat, mount.mountpoint, abandon_on_cancel=True)
        except OSError as error:
            reason = error.strerror or str(error)
            raise MountFailed(
                f"{mount.mountpoint} was mounted but does not work: {reason}"
            ) from error
        return
    raise MountFailed(f"{mount.mountpoint} was mounted but does not answer")


async def _leave_when_asked(mount: Mount, stop: Stop, scope: trio.CancelScope) -> None:
    await stop.asked.wait()
    mount.be_ending()
    # Unmounted while served: the kernel still sends last writes, flushes and releases.
    if mount.is_attached:
        write_back = partial(mountpoint.write_back, mount.mountpoint)
        await stop.step("write back what programs changed in memory", write_back, mount.data_s)
        await stop.step("unmount", partial(mountpoint.unmount, mount.mountpoint), STEP_S)
    if not mount.ended.is_set():  # a program holds it, and would until it ends
        await stop.step("send what is unsent", mount.filesystem.drain, mount.data_s)
        mount.server.stop()
        await stop.step("answer the last calls", mount.ended.wait, STEP_S)
    scope.cancel()


# The stop


async def _stop(mount: Mount, stop: Stop) -> None:
    mount.be_ending()
    await stop.step("send what is unsent", mount.filesystem.stop, mount.data_s)
    mount.server.detach(unmount=mount.is_attached)
    if mount.is_attached:  # libfuse leaves a mount that was aborted
        remove = partial(mountpoint.unmount, mount.mountpoint)
        await stop.step("unmount", remove, STEP_S)
    if not mount.is_attached:  # or the guardian has something to do yet
        mount.dismiss()
    await stop.step("leave the share", mount.link.close, STEP_S)
