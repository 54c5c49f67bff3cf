"""The way to one share: connects when somebody asks, and anew when the connection is lost.

Single flight: however many callers wait, one attempt is under way, and its failure is everybody's
failure.  An attempt belongs to nobody who asks, so that a caller who is cancelled takes nothing
away from the others.  Recovery of open handles builds on `generation`: a handle of an older
generation is lost, never silently another file.

A server that did not answer once is away: from then on a call waits for it no longer than a
moment, and one task goes on trying, so that whoever calls when it is back need not wait at all.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import trio

from smbfs.auth import Login, authenticator_for
from smbfs.crypto import Preauth
from smbfs.engine.connection import Connection, lost_again
from smbfs.engine.credits import Credits
from smbfs.engine.dialect import Capabilities, Policy
from smbfs.engine.exchange import Exchange
from smbfs.engine.greeting import Dial, greet
from smbfs.engine.leasing import Break, read_break
from smbfs.engine.session import Session, Tree, connect_tree, set_up
from smbfs.engine.states import LINK, LinkEvent, LinkState, Machine
from smbfs.errors import ConnectionLost, Refused, ServerAway, ServerSilent, SmbError
from smbfs.wire.codec import WireError
from smbfs.wire.messages import NegotiateRequest

log = logging.getLogger(__name__)

NEGOTIATE_LIMIT = 128 * 1024  # nothing longer is expected before the sizes are agreed
COOL_DOWN_S = 1.0  # after a failed attempt its answer serves those who ask meanwhile
PAUSE_S = 0.25  # between two looks of who waits for a server that is away
AWAY_S = 1.0  # how long a call waits for a server that is known to be away
PROBE_S = 4.0  # the longest pause between two attempts to find it again
REFUSED_COOL_DOWN_S = 30.0  # a wrong password tried again and again locks accounts


@dataclass(frozen=True, slots=True)
class Target:
    """Which share of which server, as the user named it."""

    host: str
    share: str

    def __str__(self) -> str:
        return f"//{self.host}/{self.share}"


@dataclass(slots=True, eq=False)
class _Attempt:
    finished: trio.Event = field(default_factory=trio.Event)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    tree: Tree | None = None
    error: SmbError | None = None
    began_at: float = field(default_factory=trio.current_time)
    ended_at: float = 0.0


class Link:
    """One share's connection, made and made again; `tree` is what everybody asks for."""

    def __init__(
        self,
        target: Target,
        policy: Policy,
        logins: Callable[[], Sequence[Login]],
        dial: Dial,
        nursery: trio.Nursery,
    ) -> None:
        self.target = target
        self.policy = policy
        self.waits = policy.hard  # calls wait for a server that is away until it is back
        self.generation = 0
        self.machine = Machine(LINK, LinkState.CLOSED)
        self.since = trio.current_time()
        self.on_break: Callable[[Break], None] = _unexpected_break
        self.on_loss: Callable[[], None] = _nothing_to_lose
        self._logins = logins
        self._dial = dial
        self._nursery = nursery
        self._attempt: _Attempt | None = None
        self._tree: Tree | None = None
        self._connection: Connection | None = None
        self._previous_session = 0
        self._away: SmbError | None = None  # why the server is taken to be away
        self._is_probing = False

    @property
    def trouble(self) -> str:
        """Why the server is taken to be away; "" if it is not."""
        return str(self._away) if self._away is not None else ""

    @property
    def live(self) -> Tree | None:
        """The connected share if there is one now."""
        tree = self._tree
        return tree if tree is not None and tree.is_alive else None

    async def tree(self) -> Tree:
        """The connected share, connecting if need be.  Raises ConnectionLost, Refused, Tampered."""
        while True:
            try:
                return await self._tree_soon()
            except ConnectionLost:
                is_over = self.machine.state is LinkState.ENDED
                if is_over or not self.waits or not self.generation:
                    raise
            await trio.sleep(PAUSE_S)

    async def _tree_soon(self) -> Tree:
        if (tree := self.live) is not None:
            return tree
        if self.machine.state is LinkState.ENDED:
            raise self._given_up()
        self._note_loss()
        attempt = self._attempted()
        with trio.move_on_at(attempt.began_at + (math.inf if self._away is None else AWAY_S)):
            await attempt.finished.wait()
        if attempt.tree is not None:
            return attempt.tree
        error = attempt.error or self._away
        assert error is not None
        if self._away is not None and self.generation:
            raise ServerAway(str(error)) from error
        raise lost_again(error)

    def _attempted(self) -> _Attempt:
        """The attempt that is under way or was a moment ago, or a new one."""
        attempt = self._attempt
        if attempt is None or (attempt.finished.is_set() and not self._is_cooling(attempt)):
            attempt = self._attempt = _Attempt()
            self._nursery.start_soon(self._try, attempt)
        return attempt

    def _is_gone(self, error: SmbError) -> None:
        """Note that the server is away, and look out for it."""
        if isinstance(error, Refused) or self.machine.state is LinkState.ENDED:
            return
        self._away = error
        if self.generation and not self._is_probing:
            self._is_probing = True
            self._nursery.start_soon(self._probe)

    async def _probe(self) -> None:
        """Try again and again until the server is back, or refuses us."""
        what = "wait" if self.waits else "fail at once"
        log.warning("%s is away: calls %s until it is back", self.target.host, what)
        pause_s = COOL_DOWN_S
        try:
            while self._away is not None and self.machine.state is not LinkState.ENDED:
                await trio.sleep(pause_s)
                pause_s = min(2 * pause_s, PROBE_S)
                attempt = self._attempted()
                await attempt.finished.wait()
                if isinstance(attempt.error, Refused):
                    return
        finally:
            self._is_probing = False

    def _is_cooling(self, attempt: _Attempt) -> bool:
        if attempt.error is None:
            return False
        pause = REFUSED_COOL_DOWN_S if isinstance(attempt.error, Refused) else COOL_DOWN_S
        return trio.current_time() - attempt.ended_at < pause

    async def _try(self, attempt: _Attempt) -> None:
        try:
            with attempt.scope:
                attempt.scope.deadline = trio.current_time() + self.policy.timeout_s
                self._begin_anew()
                attempt.tree = self._tree = await self._connect()
            if attempt.scope.cancelled_caught:
                attempt.error = self._given_up()
        except SmbError as error:
            attempt.error = error
        except (WireError, OSError) as error:
            attempt.error = ConnectionLost(f"{self.target.host}: {error}")
        finally:
            attempt.ended_at = trio.current_time()
            if attempt.tree is None:
                attempt.error = attempt.error or ConnectionLost("the attempt was given up")
                self._drop()
                self._step(LinkEvent.FAILED)
                self._is_gone(attempt.error)
            else:
                self._away = None
                self.generation += 1
                self._step(LinkEvent.CONNECTED)
            attempt.finished.set()

    def _begin_anew(self) -> None:
        if self.machine.state is LinkState.ENDED:  # since the attempt was ordered
            raise self._given_up()
        self._note_loss()
        self._drop()
        self._step(LinkEvent.DIAL)

    def _given_up(self) -> ConnectionLost:
        if self.machine.state is LinkState.ENDED:
            return ConnectionLost(f"{self.target} is being unmounted")
        return ConnectionLost(
            f"{self.target.host} did not answer within {self.policy.timeout_s:g} s"
        )

    def _step(self, event: LinkEvent) -> None:
        if self.machine.step(event):
            self.since = trio.current_time()

    def _drop(self) -> None:
        """Let go of a connection that is lost or not wanted any more."""
        self._tree = None
        if self._connection is not None:
            self._connection.lose(ConnectionLost(f"{self.target}: given up"))
            self._connection = None

    async def _connect(self) -> Tree:
        policy, host = self.policy, self.target.host
        connection, capabilities, request, preauth = await greet(
            self._dial, self._begin, policy, host
        )
        session = await self._log_in(connection, capabilities, request, preauth)
        self._previous_session = session.guard.session_id
        tree = await connect_tree(session, host, self.target.share, policy)
        log.info("%s: connected", self.target)
        return tree

    async def _log_in(
        self,
        connection: Connection,
        capabilities: Capabilities,
        request: NegotiateRequest,
        preauth: Preauth,
    ) -> Session:
        """Try the logins in their order; the first refusal is the one that is told."""
        refusal: Refused | None = None
        for login in self._logins():
            try:
                return await set_up(
                    connection,
                    capabilities,
                    self.policy,
                    request,
                    preauth.copy(),
                    authenticator_for(login, self.target.host),
                    may_be_guest=login.may_be_guest,
                    previous_session=self._previous_session,
                )
            except Refused as error:
                refusal = refusal or error
        raise refusal or Refused(f"there is no login for {self.target.host}")

    def _begin(self, stream: trio.abc.Stream, netbios: bool) -> Connection:
        """Start the life of a connection on a new stream."""
        policy = self.policy
        connection = self._connection = Connection(
            stream,
            Exchange(Credits(policy.max_credits), NEGOTIATE_LIMIT, policy.timeout_s),
            server=self.target.host,
            echo_interval_s=policy.echo_interval_s,
            on_break=self._broke,
            netbios=netbios,
        )
        self._nursery.start_soon(self._run, connection)
        return connection

    async def _run(self, connection: Connection) -> None:
        await connection.run()
        if self._connection is connection:
            self._note_loss()

    def renew(self, why: str) -> None:
        """Give up the connection, as the server will have done, and make another one at once."""
        if self._connection is not None and self.machine.state is LinkState.READY:
            self._connection.lose(ConnectionLost(why))
            self._note_loss()
            self._attempted()

    def _note_loss(self) -> None:
        """Say that a connection that was good is lost; whoever finds out first does it."""
        if self.machine.state is LinkState.READY and self._tree is not None:
            session = self._tree.session
            reason = session.gone or session.connection.error
            log.warning("%s: connection lost: %s", self.target, reason)
            self._step(LinkEvent.BROKE)
            self.on_loss()
            if isinstance(reason, ServerSilent):  # it would not answer the next call either
                self._is_gone(reason)

    def _broke(self, view: memoryview) -> None:
        try:
            broken = read_break(view)
        except WireError as error:
            log.debug("%s: a break that makes no sense: %s", self.target, error)
            return
        self.on_break(broken)

    async def close(self) -> None:
        """Leave the share, log off and hang up; never raises, bounded by two seconds."""
        tree = self.live
        self._step(LinkEvent.END)
        if self._attempt is not None:
            self._attempt.scope.cancel()
        with trio.move_on_after(2, shield=True):
            if tree is not None:
                try:
                    await tree.disconnect()
                    await tree.session.log_off()
                except SmbError as error:
                    log.debug("%s: goodbye was not answered: %s", self.target, error)
        self._drop()


def _unexpected_break(broken: Break) -> None:
    """Ignore the break of something we never asked for: it obliges us to nothing."""
    log.debug("a break for nothing we hold: %s", broken.key.hex())


def _nothing_to_lose() -> None:
    """Tell nobody that the connection is lost."""
