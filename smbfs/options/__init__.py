"""Every mount option: what it is called, what it means, and what a mount was asked for.

`parse` is the door: a service and option strings in, frozen `MountOptions` out, or `OptionError`
with one sentence.  The table is in ``rows_*.py``, one line an option.
"""

from __future__ import annotations

from smbfs.options.model import (
    CacheOptions,
    DaemonOptions,
    KernelOptions,
    LoginOptions,
    MountOptions,
    Note,
    PresentationOptions,
    ServerOptions,
)
from smbfs.options.parse import parse
from smbfs.options.refusals import OptionError
from smbfs.options.remount import check_remount
from smbfs.options.share import Service, parse_service
from smbfs.options.values import LogTarget

__all__ = [
    "CacheOptions",
    "DaemonOptions",
    "KernelOptions",
    "LogTarget",
    "LoginOptions",
    "MountOptions",
    "Note",
    "OptionError",
    "PresentationOptions",
    "ServerOptions",
    "Service",
    "check_remount",
    "parse",
    "parse_service",
]
