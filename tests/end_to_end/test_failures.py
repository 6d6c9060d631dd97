"""Builds that do not end well: undecided, with what happened and the log."""

from __future__ import annotations

from pathlib import Path

import pytest
import zstandard

from rebuilder.model.cause import Cause
from tests.end_to_end.conftest import MakePerson
from tests.end_to_end.person import Person


def _log(result: Path) -> str:
    return (
        zstandard.ZstdDecompressor().decompressobj().decompress((result / "logs/build.log.zst").read_bytes()).decode()
    )


@pytest.mark.parametrize(("name", "words"), [("false", "this one never worked"), ("idle", "nothing to do")])
def test_a_build_that_fails_or_makes_nothing_is_undecided(person: Person, name: str, words: str) -> None:
    """The log is published, and says why; there is no second try."""
    said = person.verify(f"deb:trixie/{name}")
    said.concludes("undecided", 4, Cause.BUILD_FAILED)
    assert words in _log(said.result)
    assert person.check(said.result).code == 4


def test_a_build_that_hangs_is_ended(make_person: MakePerson) -> None:
    """The wall clock of the settings ends it, and the answer says that it was the clock."""
    person = make_person(more='[limits]\nwall = "10 s"')
    said = person.verify("deb:trixie/sleepy")
    said.concludes("undecided", 4, Cause.TIMED_OUT)
    assert "10 s" in said.answer["reason"]
    assert "going to sleep" in _log(said.result)


@pytest.mark.parametrize(
    ("name", "limits", "words"),
    [
        ("hungry", 'memory = "64 MiB"', "memory"),
        pytest.param("forks", "pids = 64", "", marks=pytest.mark.slow),
        pytest.param("verbose", 'log = "1 MiB"', "log", marks=pytest.mark.slow),
        pytest.param("greedy", 'output = "64 MiB"', "wrote", marks=pytest.mark.slow),
    ],
)
def test_a_build_that_takes_too_much_is_ended(make_person: MakePerson, name: str, limits: str, words: str) -> None:
    """Processes, memory, log and disk are bounded, each by its setting."""
    person = make_person(more=f"[limits]\n{limits}")
    said = person.verify(f"deb:trixie/{name}")
    assert (said.answer["verdict"], said.code) == ("undecided", 4)
    assert said.answer["causes"][0] in {Cause.RESOURCE_EXHAUSTED, Cause.BUILD_FAILED}
    assert words in said.answer["reason"]
