"""A port that a test holds is given to no other, in whatever process."""

from __future__ import annotations

import socket

import pytest

from tests import ports
from tests.ports import HOST, Port, is_free


def test_a_port_is_free_and_below_the_kernels_own() -> None:
    port = Port()
    assert port.number < 32768
    with socket.create_server((HOST, port.number)):
        assert not is_free(port.number)
    assert is_free(port.number)
    port.release()


def test_a_port_that_is_held_is_given_to_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    port = Port()
    monkeypatch.setattr(ports.CHANCE, "sample", lambda numbers, count: [port.number])
    with pytest.raises(OSError, match="no free port"):
        Port()
    port.release()
    again = Port()
    assert again.number == port.number
    again.release()
