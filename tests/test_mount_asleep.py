"""What a mount does around a sleep of this machine."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from smbfs import mount
from smbfs.options import MountOptions, Service

OPTIONS = MountOptions(service=Service("nas", "music", ("a", "b")))


def test_who_is_ending_waits_for_nobody_after_a_sleep() -> None:
    done: list[str] = []
    share = SimpleNamespace(
        be_soft=lambda: done.append("soft"),
        be_as_asked=lambda: done.append("as asked"),
        renew=lambda why: done.append("anew"),
    )
    ground = SimpleNamespace(ends=lambda: None)
    filesystem: Any = SimpleNamespace(
        volume=SimpleNamespace(share=share), content=SimpleNamespace(ground=ground)
    )
    nobody: Any = None
    one = mount.Mount(OPTIONS, "/mnt", nobody, filesystem, nobody)
    one.wake_up()
    assert done == ["as asked", "anew"]
    one.be_ending()
    one.wake_up()
    assert done[2:] == ["soft", "anew"]
