"""What the numbers were measured on, and what a process has cost so far (Linux's /proc)."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import version

from smbfs import __version__
from tests.processes import PROC
from tests.samba import tool

TICKS = os.sysconf("SC_CLK_TCK")
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor time of a process so far, and the most memory it ever had at once."""

    cpu_s: float
    peak_mib: float


def cost(pid: int) -> Cost:
    """What a process has cost so far: its threads counted, its children not."""
    fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    status = (PROC / str(pid) / "status").read_text()
    [peak] = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return Cost((int(fields[11]) + int(fields[12])) / TICKS, int(peak) * 1024 / MIB)


def resident_mib(pid: int) -> float:
    """How much memory a process has now."""
    status = (PROC / str(pid) / "status").read_text()
    [now] = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")]
    return int(now) * 1024 / MIB


def used_ns(pid: int) -> int:
    """Processor time of a process so far, of its first thread alone but exactly."""
    return int((PROC / str(pid) / "schedstat").read_text().split()[0])


def about() -> dict[str, str]:
    """The machine, the day and the versions of all that took part."""
    samba = subprocess.run([tool("smbd"), "--version"], capture_output=True, text=True, check=True)
    packages = ("trio", "pyfuse3", "cryptography")
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{os.cpu_count()} x {_processor()}, {_memory_gib():.0f} GiB",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "smbfs": __version__,
        "samba": samba.stdout.split()[-1],
        **{name: version(name) for name in packages},
    }


def _processor() -> str:
    for line in (PROC / "cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
