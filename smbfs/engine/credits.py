"""How much may be under way: the credit window of one connection, [MS-SMB2] 3.2.4.1.2.

A pure window of three verbs: `take_now` before a request is queued, `grant` where a header
arrives, `wanted` for what the request asks for.  Knows numbers, not messages.  The last few
credits are a reserve for what must never queue behind data (acknowledging a break, CLOSE, ECHO);
a server whose whole window is no larger than that has no reserve, or nothing would ever be sent.

Easily broken: `grant` needs to hear *which charge was answered*, because a caller may wait for
credits only while something is under way that can bring them.
"""

from __future__ import annotations

RESERVE = 8  # Linux keeps 10, Apple 10; a break, a CLOSE and an ECHO fit several times
DEFAULT_TARGET = 512  # 32 MiB under way
MOST = 65534  # the total never reaches 65535, [MS-SMB2] 3.3.1.2


class Credits:
    """The credits of one connection: those we have, and those that requests under way hold.

    A new connection has one credit, which NEGOTIATE uses.  ``target`` is how many we try to own.
    """

    def __init__(self, target: int = DEFAULT_TARGET) -> None:
        self._target = min(max(target, 1), MOST)
        self._available = 1
        self._under_way = 0

    @property
    def available(self) -> int:
        """Credits that nobody holds."""
        return self._available

    @property
    def window(self) -> int:
        """Credits altogether: `available` and those held by requests without an answer."""
        return self._available + self._under_way

    @property
    def reserve(self) -> int:
        """Credits that an ordinary request must leave behind; none on a tiny server."""
        return RESERVE if self.window > RESERVE else 0

    @property
    def largest(self) -> int:
        """The largest charge an ordinary request or chain should have; at least 1.

        A larger one may wait for ever, so transfers are cut and chains are split to this.
        """
        return max(1, self.window - self.reserve)

    @property
    def is_starved(self) -> bool:
        """Nothing can ever be sent again: the server took the last credit and gave none back."""
        return self.window == 0

    def take_now(self, charge: int, *, reserved: bool = False) -> bool:
        """Take ``charge`` credits for one request or one chain, or say no and take nothing.

        Only ``reserved`` takes touch the reserve while others are under way.  With nothing under
        way nobody would bring more, so then everything may be used.
        """
        if charge < 1:
            raise ValueError(f"a charge of {charge} credits")
        keep = self.reserve if self._under_way and not reserved else 0
        if self._available - charge < keep:
            return False
        self._available -= charge
        self._under_way += charge
        return True

    def grant(self, credits: int, answered: int) -> None:
        """Bank what one response header grants; call it for every header, as it arrives.

        ``answered`` is the charge of the request this is the *first* response to, interim or
        final, and 0 otherwise (a final response after an interim one, a break).
        """
        self._under_way -= min(answered, self._under_way)
        self._available = min(self._available + credits, MOST - self._under_way)

    def wanted(self, charge: int) -> int:
        """What CreditRequest should say in a request of this charge: its own and the shortage.

        The same before and after `take_now`.  Above the target it asks for less than it uses, so
        that the window shrinks again; never for 0, which some servers grant literally.
        """
        return min(max(1, charge + self._target - self.window), MOST)
