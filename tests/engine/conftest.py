"""What several test modules of the engine ask for."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.conftest import Announced


@pytest.fixture
def loud(announced: Announced) -> Iterator[None]:
    """Announces that the connection ends, where it is said: not everything comes so far."""
    yield
    pattern = "connection lost|the connection is closed|is away"
    if any(re.search(pattern, record.getMessage()) for record in announced.records):
        announced.patterns.append(pattern)
