"""Words of closed sets survive the way through JSON, and others do not get in."""

from __future__ import annotations

import pytest

from rebuilder.errors import HostileInput
from rebuilder.model.codec import parse, render
from rebuilder.model.comparison import ArtifactComparison
from rebuilder.model.verdict import Control, Verdict


def _comparison() -> ArtifactComparison:
    return ArtifactComparison(
        filename="a.deb", verdict=Verdict.UNDECIDED, causes=(), reference=None, rebuilt=None, control=Control.NOT_RUN
    )


def test_a_closed_set_comes_back_as_itself() -> None:
    """A verdict that was read is a Verdict, not a string that looks like one."""
    again = parse(render(_comparison()), ArtifactComparison)
    assert again == _comparison()
    assert again.verdict is Verdict.UNDECIDED
    assert again.control is Control.NOT_RUN


def test_an_unknown_word_is_refused() -> None:
    """A forged verdict that is none of ours never becomes a value."""
    with pytest.raises(HostileInput, match="'splendid' is not a valid Verdict"):
        parse(render(_comparison()).replace(b"undecided", b"splendid"), ArtifactComparison)
