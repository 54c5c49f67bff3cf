"""The command: bad days by `tests.torture.run`, kills of the daemon by `tests.torture.killed`."""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from tests.torture import killed
from tests.torture.run import Outcome, campaign, summary


def main() -> int:
    """Run a campaign from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=0, help="only kill the daemon, so often")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    seeds = list(range(asked.seed, asked.seed + asked.runs))
    if asked.kills:
        return _told(killed.campaign([asked.seed + n for n in range(asked.kills)]), asked.out)
    with ThreadPoolExecutor(asked.jobs) as pool:
        parts = pool.map(
            campaign,
            [seeds[n :: asked.jobs] for n in range(asked.jobs)],
            [asked.seconds] * asked.jobs,
        )
        outcomes = [outcome for part in parts for outcome in part]
    return _told(outcomes, asked.out)


def _told(outcomes: list[Outcome], out: Path | None) -> int:
    told = summary(outcomes)
    sys.stdout.write(json.dumps(told, indent=2) + "\n")
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps([told, *map(asdict, outcomes)], indent=1))
    return 1 if told["failed_runs"] else 0


if __name__ == "__main__":
    sys.exit(main())
