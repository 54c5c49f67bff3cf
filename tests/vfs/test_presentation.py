"""How a mount shows its files."""

import pytest

from smbfs.vfs.presentation import Presentation


@pytest.mark.parametrize(
    ("option", "value"),
    [("symlink", "unix"), ("symlink", "sfu"), ("reparse", "sfu"), ("ids", "persist")],
)
def test_what_is_not_built_is_refused_by_name(option: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"`{option}={value}` is not supported; use one of .*"):
        Presentation(0, 0, **{option: value})  # type: ignore[arg-type]  # a value for a test


@pytest.mark.parametrize("symlink", ["default", "none", "native", "mfsymlinks", "nfs", "wsl"])
def test_ways_of_making_links(symlink: str) -> None:
    assert Presentation(0, 0, symlink=symlink).symlink == symlink


def test_a_stated_time_stands_before_actimeo() -> None:
    plain = Presentation(0, 0, actimeo_s=3)
    assert plain.belief_s(True) == plain.belief_s(False) == 3
    stated = Presentation(0, 0, actimeo_s=3, acregmax_s=0, acdirmax_s=60)
    assert stated.belief_s(False) == 0
    assert stated.belief_s(True) == 60
