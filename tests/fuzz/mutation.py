"""How messages are changed: by bits, lengths that lie, pieces that move, ends that come too soon.

Pure: the same random source makes the same changes.
"""

from __future__ import annotations

from random import Random

TELLING = (0, 1, 2, 3, 4, 7, 8, 16, 63, 64, 65, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF)
LARGE = (0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFE, 1 << 63, (1 << 64) - 1)
LONGEST = 1 << 16


def mutated(data: bytes, chance: Random) -> bytes:
    """One to four changes of a message."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 4))):
        if not changed:
            changed += bytes(chance.randrange(1, 9))
        chance.choice(WAYS)(changed, chance)
        del changed[LONGEST:]
    return bytes(changed)


def _bit(data: bytearray, chance: Random) -> None:
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _byte(data: bytearray, chance: Random) -> None:
    data[chance.randrange(len(data))] = chance.randrange(256)


def _number(data: bytearray, chance: Random) -> None:
    """Put a telling number where a field may be: lengths, offsets and counts lie at even places."""
    size = chance.choice((1, 2, 2, 4, 4, 8))
    value = chance.choice(TELLING if size < 4 or chance.random() < 0.6 else LARGE)
    at = chance.randrange(len(data)) & ~(min(size, 2) - 1)
    data[at : at + size] = (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")


def _nudge(data: bytearray, chance: Random) -> None:
    """Make a small field a bit larger or smaller: off by one, or by an alignment."""
    at = chance.randrange(len(data))
    data[at] = (data[at] + chance.choice((-8, -4, -2, -1, 1, 2, 4, 8))) % 256


def _cut(data: bytearray, chance: Random) -> None:
    del data[chance.randrange(len(data)) :]


def _remove(data: bytearray, chance: Random) -> None:
    at = chance.randrange(len(data))
    del data[at : at + chance.choice((1, 2, 4, 8, 16))]


def _insert(data: bytearray, chance: Random) -> None:
    at = chance.randrange(len(data) + 1)
    data[at:at] = chance.randbytes(chance.choice((1, 2, 4, 8, 16)))


def _repeat(data: bytearray, chance: Random) -> None:
    """Have a piece once more somewhere: lists that turn back on themselves."""
    start = chance.randrange(len(data))
    piece = data[start : start + chance.choice((2, 4, 8, 24, 64))]
    at = chance.randrange(len(data))
    data[at : at + len(piece)] = piece


WAYS = (_bit, _byte, _number, _number, _number, _nudge, _nudge, _cut, _remove, _insert, _repeat)
