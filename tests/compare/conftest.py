"""Comparing .debs that are made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rebuilder.compare.files import compare_file
from rebuilder.compare.rule import DEB, Rule
from rebuilder.model.comparison import ArtifactComparison
from tests.compare.makers import Deb, sample

CompareDebs = Callable[..., ArtifactComparison]


@pytest.fixture
def against_sample(tmp_path: Path) -> CompareDebs:
    """Return a function that compares the sample package with another one, or with bytes."""

    def compare(other: Deb | bytes, *, reference: Deb | None = None, rule: Rule = DEB) -> ArtifactComparison:
        first, second = tmp_path / "reference.deb", tmp_path / "rebuilt.deb"
        (reference or sample()).write(first)
        second.write_bytes(other if isinstance(other, bytes) else other.build())
        return compare_file(first, second, filename="sample_1.0-1_amd64.deb", rule=rule)

    return compare
