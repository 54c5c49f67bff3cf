"""Path operations that the server grants few credits for: chains are cut, and nothing is lost."""

from __future__ import annotations

from typing import Any

import pytest

from smbfs.engine.how import How
from smbfs.engine.steps import query_all, set_disposition
from smbfs.errors import ConnectionLost
from tests.engine.scripted import ScriptedTree, share_on


@pytest.fixture
def tree() -> ScriptedTree:
    return ScriptedTree()


@pytest.mark.parametrize("when", ["largest", "shrinks_to"])
@pytest.mark.parametrize(
    ("credits", "frames"),
    [
        (1, [["CREATE"], ["QUERY_INFO"], ["SET_INFO"], ["CLOSE"]]),
        (2, [["CREATE", "QUERY_INFO"], ["SET_INFO"], ["CLOSE"]]),
        (3, [["CREATE", "QUERY_INFO", "SET_INFO"], ["CLOSE"]]),
    ],
)
async def test_a_chain_too_dear_is_cut(
    tree: ScriptedTree, when: str, credits: int, frames: list[list[str]]
) -> None:
    setattr(tree, when, credits)
    await share_on(tree).on("a", How.looking(), query_all(), set_disposition(True))
    assert tree.commands() == frames


async def test_a_chain_that_is_not_too_dear_is_not_cut(tree: ScriptedTree) -> None:
    tree.largest = 4
    await share_on(tree).on("a", How.looking(), query_all(), set_disposition(True))
    assert tree.commands() == [["CREATE", "QUERY_INFO", "SET_INFO", "CLOSE"]]


@pytest.mark.parametrize("how", [How.looking(), How.deleting()], ids=["looks", "changes"])
async def test_a_change_whose_close_is_lost_is_not_told_done(how: How) -> None:
    class Dies(ScriptedTree):
        def post_now(self, asks: Any) -> Any:
            self.is_alive = False
            return None

        async def post(self, asks: Any, *, cuttable: bool = False) -> Any:
            if not self.is_alive:
                raise ConnectionLost("hung up")
            return await super().post(asks, cuttable=cuttable)

    tree = Dies()
    tree.largest = 2
    share = share_on(tree)
    if how.changes_nothing:
        await share.on("a", how, query_all())
        return
    with pytest.raises(ConnectionLost, match="before all of it was done"):
        await share.on("a", how, set_disposition(True))


async def test_an_open_is_cut_when_the_window_shrinks(tree: ScriptedTree) -> None:
    tree.shrinks_to = 1
    await share_on(tree).open("a", How.looking(), query_all())
    assert tree.commands() == [["CREATE"], ["QUERY_INFO"]]


async def test_few_credits_tell_nothing_of_compounds(tree: ScriptedTree) -> None:
    tree.shrinks_to = 2
    share = share_on(tree)
    await share.connect()
    tree.frames.clear()
    await share.on("a", How.looking())
    assert tree.commands() == [["CREATE", "CLOSE"]]
