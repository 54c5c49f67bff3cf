"""``make torture KILLS=n``: the daemon killed at a random moment, while programs write.

Then the mount point is taken off or mounted again at once, and the server's disk is compared with
what the programs were told.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from random import Random

from tests.mounted import MountedShare, MountError
from tests.torture.plan import Plan
from tests.torture.proxy import Proxy
from tests.torture.run import Ground, Outcome, Run, tell

WORK_S = 1.5
AT_ONCE_S = 10.0  # most of it is Python's start, on a busy machine


class KilledRun(Run):
    """A run whose only fault is that smbfs is killed."""

    handles_s = 1.0

    def _mounted(self, mounted: MountedShare, proxy: Proxy) -> None:
        chance = Random(self.plan.seed)
        mounted.mount()
        programs = self._programs(mounted.path)
        time.sleep(chance.uniform(0.1, WORK_S))
        os.kill(mounted.pid, signal.SIGKILL)
        began = time.monotonic()
        self.outcome.faults.append("smbfs killed")
        for program in programs.values():
            program.kill()  # each would write to the bare folder, or to the next mount
        try:
            if chance.random() < 0.5:
                self._again(mounted)
            else:
                self._gone(mounted)
        except (MountError, subprocess.TimeoutExpired) as error:
            self.outcome.complaints.append(f"after a kill: {error}")
        took_s = time.monotonic() - began
        self.outcome.back_s = took_s
        if took_s > AT_ONCE_S:
            self.outcome.complaints.append(f"it took {took_s:.1f} s after a kill")
        for program in programs.values():
            program.wait(20)

    def _again(self, mounted: MountedShare) -> None:
        mounted.wait_for_end()  # the kernel takes a moment to end it, too
        mounted.mount()
        found = (mounted.path / "reader" / "still").read_bytes()
        if len(found) != (self.folder / "reader" / "still").stat().st_size:
            self.outcome.complaints.append("mounted again, it shows another file")

    def _gone(self, mounted: MountedShare) -> None:
        if mounted.is_mounted():
            done = mounted.smbfs("umount", "-l", str(mounted.path), limit_s=20)
            # It may have been taken off meanwhile.
            if done.returncode != 0 and mounted.is_mounted():
                raise MountError(done.stdout, done.returncode)


def campaign(seeds: list[int]) -> list[Outcome]:
    """Do these runs one after the other."""
    outcomes: list[Outcome] = []
    ground = Ground()
    try:
        for seed in seeds:
            outcome = KilledRun(ground, Plan(seed, "", WORK_S, ())).done()
            outcomes.append(outcome)
            if outcome.complaints:
                tell(outcome)
    finally:
        ground.close()
    return outcomes
