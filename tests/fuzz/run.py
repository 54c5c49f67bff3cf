"""``make fuzz MESSAGES=n``: n messages in all, nine in ten for the parser, the rest for the client.

Tells how many made sense, how fast it went and how the memory grew; ends with 1 at the first thing
that is no clean error, which names its seed or its bytes.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
import traceback
from collections.abc import Callable
from typing import TypeVar

from tests.fuzz import client, wire

T = TypeVar("T")
PARTS = 10  # between which the memory is looked at


def rss_kib() -> int:
    """How much memory this process has now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() // 1024


def measured(work: Callable[[int], T]) -> tuple[list[T], dict[str, object]]:
    """Do a thing in parts: what came of each, how long all took, and the memory after each."""
    began, found, memory = time.monotonic(), [], []
    for part in range(PARTS):
        found.append(work(part))
        memory.append(rss_kib())
    told = {"seconds": round(time.monotonic() - began), "rss_kib": [memory[0], memory[-1]]}
    return found, {**told, "rss_most_kib": max(memory)}


def main() -> int:
    """Fuzz from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    each = max(1, asked.messages // PARTS)
    try:
        counts, told = measured(lambda part: wire.fuzz(each * 9 // 10, asked.seed + part))
        good, bad = (sum(column) for column in zip(*counts, strict=True))
        sys.stdout.write(json.dumps({"parser": {"read": good, "refused": bad, **told}}) + "\n")
        sys.stdout.flush()
        answers, told = measured(
            lambda part: client.fuzz(max(1, each // 10), asked.seed + part * 1_000_000)
        )
        sys.stdout.write(json.dumps({"client": {"answers": sum(answers), **told}}) + "\n")
    except Exception:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
