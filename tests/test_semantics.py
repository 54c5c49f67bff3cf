"""Every promise of SEMANTICS.md has a test, and every test quotes a promise word for word."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

from tests import semantics
from tests.semantics.document import DOCUMENT, LABELLED, PROVEN, items, promises

TENETS = [
    "**What the server cannot do, we do not pretend.**",
    "**What we cache, we cache for a stated time.**",
    "**We fail early and say why.**",
]


@pytest.fixture(scope="module")
def text() -> str:
    """The document."""
    return DOCUMENT.read_text()


@pytest.fixture(scope="module")
def quotations() -> dict[str, list[str]]:
    """What the tests quote, all of them loaded."""
    for module in pkgutil.iter_modules(semantics.__path__):
        importlib.import_module(f"{semantics.__name__}.{module.name}")
    return PROVEN


def test_the_three_tenets_come_first(text: str) -> None:
    assert items(text)[:3] == TENETS


def test_every_other_item_is_a_promise_with_a_label_of_its_own(text: str) -> None:
    others = items(text)[3:]
    assert [item for item in others if not LABELLED.fullmatch(item)] == []
    assert len(promises(text)) == len(others)


def test_a_promise_is_one_sentence(text: str) -> None:
    for label, promise in promises(text).items():
        assert promise.endswith("."), label
        assert ". " not in promise, label


def test_the_labels_of_a_section_count_from_one(text: str) -> None:
    numbers: dict[str, list[int]] = {}
    for label in promises(text):
        section, _, number = label.partition("-")
        numbers.setdefault(section, []).append(int(number))
    for section, found in numbers.items():
        assert found == list(range(1, len(found) + 1)), section


def test_every_promise_is_proven(text: str, quotations: dict[str, list[str]]) -> None:
    wanted = {f"{label} {promise}" for label, promise in promises(text).items()}
    assert wanted - quotations.keys() == set()


def test_every_quotation_is_in_the_document(text: str, quotations: dict[str, list[str]]) -> None:
    wanted = {f"{label} {promise}" for label, promise in promises(text).items()}
    assert quotations.keys() - wanted == set()


def test_what_proves_a_promise_is_a_test(quotations: dict[str, list[str]]) -> None:
    for quotation, tests in quotations.items():
        for test in tests:
            module, _, name = test.rpartition(".")
            assert name.startswith("test_"), quotation
            assert module.rpartition(".")[2].startswith("test_"), quotation
