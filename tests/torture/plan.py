"""Which faults happen when in one run: drawn from a seed, and nothing else.

Pure.  A plan is the same for the same seed, so that a run that failed can be replayed; what the
programs do meanwhile depends on the machine as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

UP, DOWN = "to the server", "from the server"
MOUNTS = (  # options, and how likely they are
    ("", 6),
    ("actimeo=0", 2),
    ("cache=none", 1),
    ("cache=loose", 1),
    ("seal", 2),
    ("vers=2.1", 1),
    ("nolease", 1),
    ("sync", 1),
    ("transport=pyfuse3", 1),
)


FEW_CREDITS = (1, 2, 3, 5, 20)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong, so many seconds after the programs began."""

    at_s: float
    kind: str
    seconds: float = 0.0  # how long it lasts, where it lasts
    direction: str = ""
    frames: int = 0  # how many pass before it happens
    part: float = 0.0  # how much of the next frame passes, from 0 to 1
    credits: int = 0  # how many the server grants in all


Draw = Callable[[float, Random], Fault]


@dataclass(frozen=True, slots=True)
class Plan:
    """One run."""

    seed: int
    options: str
    seconds: float  # how long the programs work
    faults: tuple[Fault, ...]


def _cut_in_frame(at_s: float, chance: Random) -> Fault:
    direction = chance.choice((UP, DOWN))
    return Fault(at_s, "cut in a frame", 0, direction, chance.randrange(40), chance.random())


def _starved(at_s: float, chance: Random) -> Fault:
    return Fault(at_s, "few credits", 0, credits=chance.choice(FEW_CREDITS))


def _lasting(kind: str, shortest_s: float, longest_s: float) -> Draw:
    def draw(at_s: float, chance: Random) -> Fault:
        seconds = round(chance.uniform(shortest_s, longest_s), 2)
        return Fault(at_s, kind, seconds, chance.choice((UP, DOWN, "")))

    return draw


def _at_once(kind: str) -> Draw:
    return lambda at_s, chance: Fault(at_s, kind)


KINDS: dict[str, tuple[Draw, int]] = {  # how each is drawn, and how likely it is
    "cut": (_at_once("cut"), 3),
    "cut in a frame": (_cut_in_frame, 6),
    "silence": (_lasting("silence", 0.2, 5.0), 3),
    "delay": (_lasting("delay", 0.5, 2.0), 1),
    "split": (_lasting("split", 0.3, 1.0), 1),
    "merge": (_lasting("merge", 0.3, 1.0), 1),
    "reordered answers": (_lasting("reordered answers", 0.5, 2.0), 2),
    "few credits": (_starved, 1),
    "no acknowledgements of breaks": (_lasting("no acknowledgements of breaks", 1.0, 2.0), 1),
    "black hole": (_lasting("black hole", 0.5, 4.0), 2),
    "restart": (_lasting("restart", 0.0, 2.0), 3),
    "polite restart": (_lasting("polite restart", 0.0, 1.0), 1),
    "freeze": (_lasting("freeze", 0.3, 5.0), 2),
    "serving process killed": (_at_once("serving process killed"), 3),
    "disk full": (_lasting("disk full", 0.3, 1.5), 1),
    "permission withdrawn": (_lasting("permission withdrawn", 0.3, 1.0), 1),
    "file replaced": (_at_once("file replaced"), 1),
}


def draw(seed: int, seconds: float = 3.0) -> Plan:
    """The plan of a seed: one to four faults while the programs work for ``seconds``."""
    chance = Random(seed)
    options = chance.choices([one for one, _ in MOUNTS], [many for _, many in MOUNTS])[0]
    moments = sorted(chance.uniform(0.2, seconds) for _ in range(chance.randint(1, 4)))
    kinds = chance.choices(list(KINDS), [many for _, many in KINDS.values()], k=len(moments))
    faults = [
        KINDS[kind][0](round(at_s, 3), chance) for at_s, kind in zip(moments, kinds, strict=True)
    ]
    return Plan(seed, options, seconds, tuple(faults))


def described(faults: Sequence[Fault]) -> str:
    """The faults in words."""
    return ", ".join(
        f"{fault.at_s:.1f} s {fault.kind}{f' {fault.seconds:.1f} s' if fault.seconds else ''}"
        for fault in faults
    )
