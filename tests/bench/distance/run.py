"""How fast smbfs and its peers are far from a server: the table of seven rows.

    python -m tests.bench.distance.run [--rounds 3] [--delays 10,0] [--peers smbfs,rclone]
        [--rows 1,3] [--seed N] [--quick] [--out build/bench] [--guest]

Every measurement mounts anew, so that nothing is known here; the server has its files in memory.
All rows and peers take turns within a round, so that a slow minute of the machine slows all of
them.  The way to the server is a relay of our own (see `relay`); in the guest, where the kernel can
delay packets itself, it is that.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.bench.distance import guest
from tests.bench.distance.ground import Ground, Scale
from tests.bench.distance.peers import SMB_PORT, Peer, PeerError, Where, all_peers
from tests.bench.distance.relay import Count
from tests.bench.distance.results import Results, from_plain, picture
from tests.bench.distance.rows import ROWS, Row
from tests.bench.machine import about
from tests.ports import HOST
from tests.samba import Samba

LIMIT_S = 120.0  # for one command; what takes longer stands in the table as that
SLOW_S = 20.0  # what takes longer than this is measured once, and not in every round
FAR = "127.77.0.1"  # a name of this machine on which port 445 is free, for those that know no other
USUAL = ("smbfs", "rclone", "smbnetfs", "gvfs")


class Way:
    """The relay to a server, as a process of its own."""

    def __init__(self, port: int, delay_s: float) -> None:
        self.host, self.port = FAR, SMB_PORT
        try:
            self._start(f"{FAR}:{SMB_PORT}", port, delay_s)
        except ValueError:  # that port takes root
            self.host = HOST
            self._start(f"{HOST}:0", port, delay_s)

    def _start(self, listen: str, port: int, delay_s: float) -> None:
        words = ["--listen", listen, "--to", f"{HOST}:{port}", "--delay", str(delay_s)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.distance.relay", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def count(self) -> Count:
        """What passed since the last call."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("count\n")
        self._process.stdin.flush()
        return Count(**json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        """Take it away."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@dataclass
class Bench:
    """One server, one distance, and what was measured."""

    ground: Ground
    where: Where
    results: Results
    way: Way | None = None
    suffix: str = ""  # of the names of all peers
    _is_settled: set[tuple[str, str]] = field(default_factory=set)

    def measure(self, row: Row, peer: Peer) -> None:
        """Measure one row by one peer; what failed once, or took minutes, is not tried again."""
        name = peer.name + self.suffix
        if (row.name, name) in self._is_settled:
            return
        cell = self.results.cell(row.name, name)
        row.reset(self.ground)
        try:
            with peer.mounted(self.where) as mount:
                if self.way is not None:
                    self.way.count()
                seconds = run_timed(row.command(self.ground, mount))
                if self.way is not None:
                    count = self.way.count()
                    cell.turns.append(count.turns)
                    cell.mebibytes.append((count.sent + count.received) / (1 << 20))
                why = row.check(self.ground, mount)
        except (PeerError, OSError, subprocess.SubprocessError) as error:
            why = (str(error).strip() or repr(error)).splitlines()[0][:80]
            seconds = 0.0
        if why:
            cell.failures.append(why)
        else:
            cell.seconds.append(seconds)
        if why or seconds > SLOW_S:
            self._is_settled.add((row.name, name))
        sys.stderr.write(f"  {row.name}: {name}: {why or f'{seconds:.3f} s'}\n")


def run_timed(command: list[str]) -> float:
    """Run a command, and tell how long it took.  Raises PeerError if it fails or has no end."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        cwd="/",
    )
    try:
        _, said = process.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        raise PeerError(f"> {LIMIT_S:g}") from None
    seconds = time.perf_counter() - begun
    if process.returncode:
        raise PeerError(said.decode(errors="replace") or f"status {process.returncode}")
    return seconds


@contextlib.contextmanager
def bench(chosen: argparse.Namespace, scale: Scale, delay_ms: float) -> Iterator[Bench]:
    """A server, files on it, and a way to it."""
    results = Results(delay_ms, {row.name: row.target_s for row in ROWS})
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as here,
        Samba(guest.SETTINGS, port=SMB_PORT) if chosen.inside else Samba() as server,
        contextlib.ExitStack() as stack,
    ):
        ground = Ground(server["share"].path, Path(here), chosen.seed, scale)
        ground.prepare()
        login = ("share", server.user, server.password)
        if chosen.inside:
            guest.delay(delay_ms)
            where = Where(HOST, server.port, *login)
            yield Bench(ground, where, results, suffix=guest.SUFFIX)
            return
        way = Way(server.port, delay_ms / 2000)
        stack.callback(way.close)
        yield Bench(ground, Where(way.host, way.port, *login), results, way)


def measured(chosen: argparse.Namespace, scale: Scale, delay_ms: float) -> Results:
    """Measure all rows at one distance."""
    peers = all_peers()
    rows = [row for number, row in enumerate(ROWS, 1) if number in chosen.rows]
    with bench(chosen, scale, delay_ms) as one:
        for number in range(chosen.rounds):
            sys.stderr.write(f"{delay_ms:g} ms, round {number + 1} of {chosen.rounds}\n")
            for row in rows:
                for name in chosen.peers:
                    one.measure(row, peers[name])
        return one.results


def numbers(words: str) -> list[float]:
    """A list of numbers with commas."""
    return [float(word) for word in words.split(",")]


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.distance.run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--delays", type=numbers, default=[10.0, 0.0], help="round trip, in ms")
    parser.add_argument("--peers", type=lambda words: words.split(","), default=list(USUAL))
    parser.add_argument("--rows", type=numbers, default=range(1, len(ROWS) + 1))
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    parser.add_argument("--quick", action="store_true", help="small sizes: does it work at all?")
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    parser.add_argument("--guest", action="store_true", help="the kernel's client as well")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Measure, and write down what came out."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # and everything is taken down
    chosen = arguments()
    scale = Scale.of(chosen.seed, is_quick=chosen.quick)
    load = os.getloadavg()
    found = [measured(chosen, scale, delay_ms) for delay_ms in chosen.delays]
    if chosen.guest:
        for results, plain in zip(found, guest.run(chosen), strict=True):
            results.take(from_plain(plain))
    facts = about() | {
        "seed": str(chosen.seed),
        "rounds": str(chosen.rounds),
        "sizes": ", ".join(f"{name} {value:,}" for name, value in asdict(scale).items()),
        "load before and after": f"{load[0]:.1f} and {os.getloadavg()[0]:.1f}",
    }
    write_down(chosen.out, facts, found, is_inside=chosen.inside)


def write_down(out: Path, facts: dict[str, str], found: list[Results], *, is_inside: bool) -> None:
    """One JSON, one Markdown page and one picture."""
    out.mkdir(parents=True, exist_ok=True)
    plain = {"about": facts, "results": [one.plain() for one in found]}
    (out / "distance.json").write_text(json.dumps(plain, indent=1) + "\n")
    if is_inside:
        return
    lines = ["# Far from the server", "", "Seconds; medians (least-most).", ""]
    lines += [f"* {name}: {value}" for name, value in facts.items()]
    for results in found:
        lines += ["", f"## {results.delay_ms:g} ms round-trip time", "", results.table(), ""]
        lines += [results.turns()]
    page = "\n".join(lines) + "\n"
    (out / "distance.md").write_text(page)
    picture(found, out / "distance.svg")
    sys.stdout.write(page)
    shutil.rmtree(out / "guest", ignore_errors=True)


if __name__ == "__main__":
    main()
