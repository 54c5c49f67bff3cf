"""The rows in a guest whose kernel is its own: beside the kernel's client, which we have not here.

The guest is a User-Mode Linux process (Debian's package user-mode-linux) that has this machine's
files as its own.  Server, client and all work run inside; its kernel delays the packets on its
loopback, so there is no relay.  smbfs is measured there as well: numbers of the guest are compared
with each other only, for it has one processor and its system calls are slow.

Easily broken: it must end.  It is given a time, after which it is killed, by its process id.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from tests.bench.distance import xstate
from tests.bench.distance.results import GUEST

SUFFIX = GUEST
PEERS = ("smbfs", "cifs.ko")
# Its memory files have no extended attributes, which Samba would keep those of DOS in.
SETTINGS = {"vfs objects": "", "ea support": "no", "store dos attributes": "no"}
KERNEL = "linux.uml"
CRYPTO = "hmac cmac ctr ccm gcm ecb md4 arc4 sha512_generic ghash-generic"  # for cifs.ko
MODULES = Path("/usr/lib/uml/modules")
LIMIT_S = 3600.0  # for all rows, rounds and distances
ROOT = Path(__file__).resolve().parents[3]

# The first process of the guest.  What it mounts hides this machine's folders from the guest only.
INIT = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TMPDIR=/dev/shm
{environment}
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mkdir -p /dev/shm/kernel/lib/modules
cp -r {modules}/$(uname -r) /dev/shm/kernel/lib/modules
depmod -b /dev/shm/kernel
for module in fuse cifs sch_netem {crypto}; do modprobe -d /dev/shm/kernel $module; done
[ -e /dev/fuse ] || mknod /dev/fuse c 10 229
ip link set lo up
cd {root}
{python} -m tests.bench.distance.run --inside {words} >{out}/said 2>&1
echo "ended with $?" >>{out}/said
sync
echo o >/proc/sysrq-trigger
sleep 60
"""


def delay(round_trip_ms: float) -> None:
    """Have the guest's kernel delay what goes over its loopback."""
    replace = ["tc", "qdisc", "replace", "dev", "lo", "root", "netem"]
    subprocess.run([*replace, "delay", f"{round_trip_ms / 2}ms", "limit", "100000"], check=True)


def run(chosen: argparse.Namespace) -> list[dict[str, object]]:
    """Run the guest with the rows of this run; what it measured, by distance.

    Raises RuntimeError with what was said if it comes to nothing.
    """
    out = (chosen.out / "guest").resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    words = ["--rounds", str(chosen.rounds), "--seed", str(chosen.seed), "--out", str(out)]
    words += ["--peers", ",".join(PEERS)]
    words += ["--delays", ",".join(map(str, chosen.delays))]
    words += ["--rows", ",".join(map(str, chosen.rows))]
    words += ["--quick"] * chosen.quick
    init = out / "init"
    python = Path(sys.executable)
    environment = "\n".join(
        f"export {name}='{value}'" for name, value in xstate.WITHOUT_AVX.items()
    )
    text = INIT.format(
        environment=environment,
        crypto=CRYPTO,
        modules=MODULES,
        root=ROOT,
        python=python,
        out=out,
        words=" ".join(words),
    )
    init.write_text(text)
    init.chmod(0o755)
    _boot(init, out)
    found = out / "distance.json"
    if not found.exists():
        said = (out / "said").read_text()[-2000:] if (out / "said").exists() else ""
        raise RuntimeError(
            f"the guest measured nothing: {said or (out / 'console').read_text()[-2000:]}"
        )
    results: list[dict[str, object]] = json.loads(found.read_text())["results"]
    return results


def _boot(init: Path, out: Path) -> None:
    command = [KERNEL, "mem=4G", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "rw"]
    command += [f"init={init}", "con=null", "con0=fd:0,fd:1", "quiet"]
    with (out / "console").open("wb") as console:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            start_new_session=True,
            env=os.environ | {"TMPDIR": "/dev/shm"},  # where the guest's memory is
            preexec_fn=xstate.hide,  # nothing else runs here by now
        )
        try:
            process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
