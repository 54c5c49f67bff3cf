"""A fake SMB2 server for tests: see `server` for what it is, `script` for its bad days."""

from __future__ import annotations

from tests.fake.link import HOST, LOGIN, fake_link, fake_share
from tests.fake.login import PASSWORD, USER, Nature
from tests.fake.server import FakeServer
from tests.fake.tree import Fail, Node, Open, Volume

__all__ = [
    "HOST",
    "LOGIN",
    "PASSWORD",
    "USER",
    "Fail",
    "FakeServer",
    "Nature",
    "Node",
    "Open",
    "Volume",
    "fake_link",
    "fake_share",
]
