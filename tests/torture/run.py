"""``make torture SEED=n RUNS=n``: run after run, each from its seed, and what came of all of them.

One run: a Samba on a small disk of its own, the fault proxy, a mount, six programs, and the faults
of the plan.  Then everything is healed, the server is taken away and back once more, the mount
comes off, and the server's disk is compared with the diaries.  A run that fails prints its seed,
which replays its plan.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.mounted import MountedShare, MountError
from tests.samba import Samba, tool
from tests.torture.judge import judged
from tests.torture.plan import Fault, Plan, described, draw
from tests.torture.proxy import Proxy
from tests.torture.workloads import WORKLOADS, still

TIMEOUT_S = 3.0  # the mount's; a shorter one than usual, or most of a run would be waiting
HANDLES_S = 5.0  # how long the server keeps open files
SLACK_S = 2.0  # the machine's
DEADLINE_S = TIMEOUT_S + 1.0 + SLACK_S
DATA_DEADLINE_S = (
    2 * TIMEOUT_S + 1.0 + SLACK_S
)  # silence is noticed, and then the server waited for
ENDS_S = {"repository": 60.0}  # git makes hundreds of calls for one command, a clone most
DISK = "48m"
ROOT = Path(__file__).parent.parent.parent


@dataclass
class Outcome:
    """What became of one run."""

    seed: int
    plan: str
    complaints: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    acknowledged: int = 0
    safe: dict[str, int] = field(default_factory=dict)  # the same by program
    calls: int = 0
    failed_calls: int = 0
    slowest: tuple[float, str] = (0.0, "")
    late: list[str] = field(default_factory=list)
    back_s: float = 0.0  # from the server's return to the first success
    umount_s: float = 0.0
    handles_left: int = 0
    rss_kib: tuple[int, int] = (0, 0)


class Ground:
    """A Samba whose share is a small disk of its own, for many runs."""

    def __init__(self) -> None:
        # Root passes every permission, so somebody else has to be the one who is refused; and not
        # "nobody", whom Samba takes for a guest even in his own folders.
        owner = {"force user": "games"} if os.geteuid() == 0 else {}
        self.server = Samba(shares={"share": owner})
        self.disk = self.server["share"].path
        self._is_mounted = False
        if os.geteuid() == 0:
            size = f"size={DISK}"
            subprocess.run(["mount", "-t", "tmpfs", "-o", size, "torture", self.disk], check=True)
            self._is_mounted = True
            for path in (self.server.directory, self.disk.parent):
                path.chmod(0o711)
            self.disk.chmod(0o777)
        self.server.start()

    def close(self) -> None:
        """Stop it."""
        self.server.stop()
        if self._is_mounted:
            subprocess.run(["umount", "-l", self.disk], check=False)
        self.server.close()

    def open_files(self) -> int:
        """How many opens the server knows, those it keeps for lost clients included."""
        config = f"--configfile={self.server.directory / 'smb.conf'}"
        done = subprocess.run(
            [tool("smbstatus"), "-L", config], check=False, capture_output=True, text=True
        )
        return sum("DENY_" in line for line in done.stdout.splitlines())


class Run:
    """One run."""

    handles_s = HANDLES_S

    def __init__(self, ground: Ground, plan: Plan) -> None:
        self.ground = ground
        self.plan = plan
        self.outcome = Outcome(plan.seed, f"[{plan.options}] {described(plan.faults)}")
        self.name = f"run-{plan.seed}"
        self.folder = ground.disk / self.name
        self.home = Path(tempfile.mkdtemp(prefix="smbfs-torture-"))

    def done(self) -> Outcome:
        """Do it, and tell what became of it."""
        self._prepare()
        options = [f"timeout={TIMEOUT_S:g}", f"handletimeout={self.handles_s * 1000:.0f}"]
        options += filter(None, [self.plan.options])
        if "transport" not in self.plan.options:
            options.append("transport=native")
        try:
            with Proxy(self.ground.server.port) as proxy:
                options.append(f"port={proxy.port}")
                mounted = MountedShare(
                    self.ground.server, "share", *options, directory=self.name, limit_s=120
                )
                try:
                    self._mounted(mounted, proxy)
                finally:
                    self._off(mounted)
            self._judge()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
            shutil.rmtree(self.home, ignore_errors=True)
        return self.outcome

    def _prepare(self) -> None:
        for name in WORKLOADS:
            (self.folder / name).mkdir(parents=True)
        (self.folder / "reader" / "still").write_bytes(still())
        for path in (self.folder, *self.folder.rglob("*")):
            path.chmod(0o777)

    def _mounted(self, mounted: MountedShare, proxy: Proxy) -> None:
        mounted.mount()
        before = _rss_kib(mounted.pid)
        programs = self._programs(mounted.path)
        began = time.monotonic()
        for fault in self.plan.faults:
            time.sleep(max(0.0, began + fault.at_s - time.monotonic()))
            self._strike(fault, proxy)
            self.outcome.faults.append(fault.kind)
        time.sleep(max(0.0, began + self.plan.seconds - time.monotonic()))
        proxy.heal()
        self._wait_for(programs)
        self._away_and_back(mounted)
        self.outcome.rss_kib = before, _rss_kib(mounted.pid)
        if not mounted.is_running():
            self.outcome.complaints.append(f"smbfs ended\n{mounted.log()}")

    def _programs(self, where: Path) -> dict[str, subprocess.Popen[bytes]]:
        return {name: self._program(name, where / name) for name in WORKLOADS}

    def _program(self, name: str, folder: Path) -> subprocess.Popen[bytes]:
        seed, seconds = str(self.plan.seed), str(self.plan.seconds)
        places = [str(folder), str(self.home / name)]
        words = ["-m", "tests.torture.workloads", name, *places, seed, seconds]
        with (self.home / f"{name}.err").open("wb") as said:
            return subprocess.Popen([sys.executable, *words], cwd=ROOT, stderr=said)

    def _wait_for(self, programs: dict[str, subprocess.Popen[bytes]]) -> None:
        began = time.monotonic()
        for name, program in programs.items():
            try:
                limit = began + ENDS_S.get(name, 2 * DATA_DEADLINE_S)
                status = program.wait(max(0.1, limit - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.outcome.complaints.append(f"{name} hangs")
                program.kill()
                status = 0
                with contextlib.suppress(subprocess.TimeoutExpired):
                    program.wait(5)
            if status:
                said = (self.home / f"{name}.err").read_text()[-1500:]
                self.outcome.complaints.append(f"{name} ended with {status}: {said}")

    def _strike(self, fault: Fault, proxy: Proxy) -> None:
        server = self.ground.server
        match fault.kind:
            case "restart" | "polite restart":
                (server.kill if fault.kind == "restart" else server.stop)()
                time.sleep(fault.seconds)
                server.start()
            case "few credits":
                server.kill()
                server.settings["smb2 max credits"] = str(fault.credits)
                server.start()
            case "freeze":
                server.freeze()
                time.sleep(fault.seconds)
                server.thaw()
            case "serving process killed":
                server.drop_connections()
            case "disk full":
                with self._full():
                    time.sleep(fault.seconds)
            case "permission withdrawn":
                (self.folder / "editor").chmod(0)
                time.sleep(fault.seconds)
                (self.folder / "editor").chmod(0o777)
            case "file replaced":
                path = self.folder / "reader" / "still"
                shutil.copy(path, path.with_name("other"))
                path.with_name("other").replace(path)
            case _:
                proxy.strike(fault)

    @contextlib.contextmanager
    def _full(self) -> Iterator[None]:
        ballast = self.ground.disk / f"ballast-{self.plan.seed}"
        space = os.statvfs(self.ground.disk)
        with ballast.open("wb") as file, contextlib.suppress(OSError):
            if self.ground.disk.is_mount():  # else it is this machine's own disk
                os.posix_fallocate(file.fileno(), 0, max(1, space.f_bavail * space.f_frsize))
        try:
            yield
        finally:
            ballast.unlink()

    def _away_and_back(self, mounted: MountedShare) -> None:
        """Take the server away and back, and see how soon the mount is of use."""
        self.ground.server.kill()
        self.ground.server.settings.pop("smb2 max credits", None)
        _try(mounted)
        self.ground.server.start()
        began = time.monotonic()
        while not _try(mounted):
            if time.monotonic() > began + 60:
                self.outcome.complaints.append("the mount never came back")
                return
            time.sleep(0.05)
        self.outcome.back_s = time.monotonic() - began

    def _off(self, mounted: MountedShare) -> None:
        began = time.monotonic()
        log = mounted.log()
        try:
            mounted.close(30)
        except (MountError, subprocess.TimeoutExpired) as error:
            self.outcome.complaints.append(f"it does not come off: {error}")
        self.outcome.umount_s = time.monotonic() - began
        if "bug:" in log or "Traceback" in log:
            self.outcome.complaints.append(f"a bug in the log:\n{log[-3000:]}")

    def _judge(self) -> None:
        limit = time.monotonic() + self.handles_s + 10
        while (left := self.ground.open_files()) and time.monotonic() < limit:
            time.sleep(0.2)
        self.outcome.handles_left = left
        if left:
            self.outcome.complaints.append(f"{left} handles are left on the server")
        verdict = judged(self.folder, self.home, DEADLINE_S, DATA_DEADLINE_S)
        self.outcome.complaints += verdict.complaints
        self.outcome.complaints += verdict.late
        self.outcome.acknowledged, self.outcome.calls = verdict.acknowledged, verdict.calls
        self.outcome.failed_calls, self.outcome.slowest = verdict.failed, verdict.slowest
        self.outcome.late, self.outcome.safe = verdict.late, dict(verdict.safe)


def _try(mounted: MountedShare) -> bool:
    """Whether a file of the mount can be opened and read now; in a thread, for it may hang."""
    found: list[bytes] = []

    def look() -> None:
        with contextlib.suppress(OSError):
            found.append((mounted.path / "reader" / "still").read_bytes()[:10])

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(20)
    return found == [still()[:10]]


def _rss_kib(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0


def campaign(seeds: list[int], seconds: float) -> list[Outcome]:
    """Do the runs of these seeds one after the other on one server; tell of each that fails."""
    outcomes: list[Outcome] = []
    ground = Ground()
    try:
        for seed in seeds:
            try:
                outcome = Run(ground, draw(seed, seconds)).done()
            except Exception as error:  # of the harness, or the machine: it is no success
                outcome = Outcome(seed, described(draw(seed, seconds).faults), [repr(error)])
            outcomes.append(outcome)
            if outcome.complaints:
                tell(outcome)
            if not ground.server.is_answering():
                ground.server.restart()
    finally:
        ground.close()
    return outcomes


def tell(outcome: Outcome) -> None:
    """Say what went wrong in a run, and how to have it again."""
    again = f"make torture SEED={outcome.seed} RUNS=1"
    words = "\n  ".join(outcome.complaints)
    sys.stdout.write(f"FAILED: {again}\n  plan: {outcome.plan}\n  {words}\n")
    sys.stdout.flush()


def summary(outcomes: list[Outcome]) -> dict[str, object]:
    """All runs as one."""
    faults = Counter(kind for outcome in outcomes for kind in outcome.faults)
    backs = sorted(outcome.back_s for outcome in outcomes if outcome.back_s)
    grown = [after - before for before, after in (one.rss_kib for one in outcomes) if after]
    slowest = max((outcome.slowest for outcome in outcomes), default=(0.0, ""))
    return {
        "runs": len(outcomes),
        "failed_runs": [outcome.seed for outcome in outcomes if outcome.complaints],
        "calls": sum(outcome.calls for outcome in outcomes),
        "calls_that_failed": sum(outcome.failed_calls for outcome in outcomes),
        "acknowledged": sum(outcome.acknowledged for outcome in outcomes),
        "acknowledged_by": dict(sum((Counter(one.safe) for one in outcomes), Counter())),
        "past_deadline": sum(len(outcome.late) for outcome in outcomes),
        "longest_call": slowest,
        "back_after_s": {
            "median": round(statistics.median(backs), 2) if backs else None,
            "worst": round(backs[-1], 2) if backs else None,
        },
        "longest_umount_s": round(max((one.umount_s for one in outcomes), default=0), 2),
        "handles_left": sum(outcome.handles_left for outcome in outcomes),
        "rss_grown_kib": {
            "median": statistics.median(grown) if grown else None,
            "worst": max(grown, default=None),
        },
        "faults": dict(faults.most_common()),
    }
