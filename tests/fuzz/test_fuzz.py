"""A short part of the fuzz, and that it sees what it is to see."""

from __future__ import annotations

from random import Random

import pytest

from smbfs.wire.codec import WireError
from tests.fuzz import client, run, wire
from tests.fuzz.mutation import mutated
from tests.fuzz.wire import Reader


def test_mutations_are_their_seed_s_and_differ() -> None:
    data = bytes(range(64))
    assert mutated(data, Random(1)) == mutated(data, Random(1))
    found = {mutated(data, Random(seed)) for seed in range(500)}
    assert len(found) > 450
    assert {len(one) < 64 for one in found} == {True, False}
    assert any(len(one) > 64 for one in found)
    assert mutated(b"", Random(3))


def test_every_reader_reads_one_of_its_seeds() -> None:
    for reader in wire.readers():
        for seed in reader.seeds:
            try:
                reader.read(memoryview(seed))
                break
            except WireError:
                continue
        else:
            pytest.fail(f"{reader.name} has no well-formed seed")


def test_the_parser() -> None:
    good, bad = wire.fuzz(30_000, 1)
    assert min(good, bad) > 3_000


def test_what_is_no_clean_error_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(view: memoryview) -> None:
        raise IndexError("oh")

    monkeypatch.setattr(wire, "readers", lambda: [Reader("broken", broken, (b"seed",))])
    with pytest.raises(IndexError) as caught:
        wire.fuzz(10, 1)
    assert "broken of " in caught.value.__notes__[0]


def test_the_client() -> None:
    assert client.fuzz(1_500, 7) >= 1_500


def test_a_round_that_goes_wrong_names_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(self: client.Round) -> None:
        raise KeyError("oh")

    monkeypatch.setattr(client.Round, "calls", broken)
    with pytest.raises(BaseExceptionGroup) as caught:
        client.fuzz(1, 9)
    assert "in the round of the seed 9" in caught.value.__notes__


def test_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["fuzz", "--messages", "2000"])
    assert run.main() == 0
    said = capsys.readouterr().out
    assert '"parser"' in said
    assert '"client"' in said
