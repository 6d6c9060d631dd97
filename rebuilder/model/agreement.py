"""Whether builders that ran one plan agree about one file: facts of their records, never an average or a majority."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from rebuilder.model.digest import Digest
from rebuilder.model.rebuild import Rebuild
from rebuilder.model.release import is_aside
from rebuilder.model.verdict import Outcome


class Agreement(StrEnum):
    """What the runs of one plan say together about one file."""

    UNANIMOUS = "unanimous"
    """All gave the same bytes, or none gave the file, or none succeeded. One builder agrees with itself."""
    DISAGREEING = "disagreeing"
    """Runs that succeeded gave different bytes, or only some of them gave the file."""
    INCOMPLETE = "incomplete"
    """Those that succeeded agree, and some did not succeed."""


def agreement(runs: Sequence[Rebuild], filename: str) -> Agreement:
    """Say whether runs of one plan agree about a file; a single builder that differs is a disagreement."""
    succeeded = [run for run in runs if run.outcome is Outcome.SUCCEEDED]
    if len({digest_in(run, filename) for run in succeeded}) > 1:
        return Agreement.DISAGREEING
    return Agreement.INCOMPLETE if 0 < len(succeeded) < len(runs) else Agreement.UNANIMOUS


def only_elsewhere(rebuild: Rebuild, others: Sequence[Rebuild]) -> tuple[str, ...]:
    """Name what other builders gave and `rebuild` did not, each once; but for what no comparison looks at."""
    if rebuild.outcome is not Outcome.SUCCEEDED:
        return ()
    given = (output.filename for run in others if run.outcome is Outcome.SUCCEEDED for output in run.outputs)
    own = {output.filename for output in rebuild.outputs}
    return tuple(dict.fromkeys(name for name in given if name not in own and not is_aside(name)))


def digest_in(run: Rebuild, filename: str) -> Digest | None:
    """Return the digest of a file among a run's outputs; None where it gave no such file."""
    return next((output.digest for output in run.outputs if output.filename == filename), None)
