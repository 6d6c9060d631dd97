"""Builders agree about a file, or they do not: there is no majority."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rebuilder.model.agreement import Agreement, agreement, digest_in
from rebuilder.model.rebuild import Rebuild
from rebuilder.model.verdict import Outcome
from tests.attest.factory import dossier, file_of

NAME = "sample_1.0-1_amd64.deb"


def run(content: bytes | None, outcome: Outcome = Outcome.SUCCEEDED) -> Rebuild:
    """Make a run that gave one file with that content, or none."""
    made = dossier().dossier.rebuild
    assert made is not None
    return replace(made, outcome=outcome, outputs=() if content is None else (file_of(NAME, content),))


FAILED = run(None, Outcome.FAILED)


@pytest.mark.parametrize(
    ("runs", "answer"),
    [
        pytest.param((), Agreement.UNANIMOUS, id="nobody"),
        pytest.param((run(b"a"),), Agreement.UNANIMOUS, id="one"),
        pytest.param((run(b"a"), run(b"a")), Agreement.UNANIMOUS, id="two-alike"),
        pytest.param((run(None), run(None)), Agreement.UNANIMOUS, id="two-without-the-file"),
        pytest.param((FAILED, FAILED), Agreement.UNANIMOUS, id="all-failed"),
        pytest.param((run(b"a"), run(b"a"), run(b"b")), Agreement.DISAGREEING, id="two-against-one"),
        pytest.param((run(b"a"), run(None)), Agreement.DISAGREEING, id="one-without-the-file"),
        pytest.param((run(b"a"), FAILED, run(b"b")), Agreement.DISAGREEING, id="two-differ-and-one-failed"),
        pytest.param((run(b"a"), FAILED), Agreement.INCOMPLETE, id="one-failed"),
        pytest.param((FAILED, run(b"a")), Agreement.INCOMPLETE, id="the-first-failed"),
    ],
)
def test_runs_agree_or_not(runs: tuple[Rebuild, ...], answer: Agreement) -> None:
    """One run that differs is a disagreement; one that did not succeed leaves the quorum incomplete."""
    assert agreement(runs, NAME) is answer


def test_the_digest_of_a_file_that_was_not_made_is_none() -> None:
    """Absent is no digest."""
    assert digest_in(run(None), NAME) is None
    assert digest_in(run(b"a"), NAME) == file_of(NAME, b"a").digest
