"""conclude: from what was tried to a dossier, whatever happened on the way."""

from __future__ import annotations

import platform
from dataclasses import replace
from datetime import datetime
from importlib.metadata import version

from rebuilder import __version__
from rebuilder.compare.judge import judge_undecided
from rebuilder.compare.quorum import judge_quorum, reason_of
from rebuilder.model.cause import Cause
from rebuilder.model.comparison import Comparison
from rebuilder.model.dossier import Dossier
from rebuilder.model.release import Release
from rebuilder.model.trust import Trust
from rebuilder.stages.attempt import Attempt


def conclude(attempt: Attempt, at: datetime) -> Dossier:
    """Put everything that was found into one value; artifacts without an answer are `undecided` with the cause."""
    comparison = attempt.comparison or _undecided(attempt)
    planned = attempt.planned
    return Dossier(
        release=attempt.part,
        architecture=architecture_of(attempt.part),
        trust=_trust(attempt),
        plan=planned.plan if planned else None,
        lock=planned.lock if planned else None,
        rebuild=attempt.run.rebuild if attempt.run else None,
        control=attempt.control.rebuild if attempt.control else None,
        comparison=comparison,
        variations=attempt.variations,
        tools=_tools(attempt),
        reason=_reason(attempt),
        concluded_at=at,
        others=tuple(run.rebuild for run in attempt.others),
    )


def _undecided(attempt: Attempt) -> Comparison:
    """Judge that nothing was compared; if builders differ all the same, that is told as well."""
    comparison = judge_undecided(attempt.part, _cause(attempt))
    if attempt.run is None:
        return comparison
    return judge_quorum(comparison, attempt.run.rebuild, [run.rebuild for run in attempt.others])


def architecture_of(part: Release) -> str:
    """Name the architecture of a part's artifacts; `source` when it has none."""
    return next((artifact.architecture for artifact in part.artifacts), "source")


def _trust(attempt: Attempt) -> Trust:
    """Return the trust with what was found while planning: about a .buildinfo, about indices of the past."""
    found = attempt.planned.evidence if attempt.planned else ()
    return replace(attempt.trust, evidence=tuple(dict.fromkeys((*attempt.trust.evidence, *found))))


def _cause(attempt: Attempt) -> Cause:
    if attempt.trust.cause is not None:
        return attempt.trust.cause
    return attempt.error.cause if attempt.error is not None else Cause.INFRASTRUCTURE


def _reason(attempt: Attempt) -> str:
    if not attempt.trust.accepted:
        return attempt.trust.reason
    if attempt.error is not None:
        return str(attempt.error)
    if attempt.run is None:
        return ""
    if attempt.comparison is not None and attempt.others:
        runs = (attempt.run.rebuild, *(run.rebuild for run in attempt.others))
        return attempt.run.rebuild.reason or reason_of(attempt.comparison, runs)
    return attempt.run.rebuild.reason


def _tools(attempt: Attempt) -> tuple[tuple[str, str], ...]:
    tools = {
        "rebuilder": __version__,
        "python": platform.python_version(),
        "diffoscope": version("diffoscope"),
        "in-toto": version("in-toto"),
    }
    if attempt.planned is not None and attempt.planned.lock.installer:
        name, _, number = attempt.planned.lock.installer.partition(" ")
        tools[name] = number
    if attempt.run is not None:
        name, _, number = attempt.run.rebuild.machine.engine.partition(" ")
        tools[name] = number.partition(" (")[0]
    return tuple(sorted(tools.items()))
