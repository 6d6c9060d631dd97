"""A result in short: what lists, badges and feeds need to know, and what `index.json` holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath
from typing import TypeVar

from rebuilder.model import codec
from rebuilder.model.cause import Cause, in_reporting_order
from rebuilder.model.comparison import ArtifactComparison
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.lineage import Key, base_suite, version_key
from rebuilder.model.plan import Fidelity
from rebuilder.model.verdict import Control, Verdict, worst
from rebuilder.publish import layout
from rebuilder.publish.scan import Result
from rebuilder.publish.word import Withdrawn, Word, word_of

_REASON_LIMIT = 300
Name = TypeVar("Name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Previous:
    """The result before this one, of the same package, suite (with its updates) and architecture."""

    path: str
    version: str
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One result in short."""

    path: str
    """Directory of the result, relative to the results; a file path, not an address."""
    target: str
    ecosystem: str
    distribution: str
    suite: str
    name: str
    version: str
    architecture: str
    verdict: Verdict
    causes: tuple[Cause, ...]
    reason: str
    alarming: bool
    """A deterministic, security-relevant change in an exact environment: somebody should look today."""
    fidelity: Fidelity | None
    artifacts: int
    concluded_at: datetime
    dossier: Digest
    plan: Digest | None
    previous: Previous | None = None
    """The last one that was not withdrawn."""
    regressed_from: Previous | None = field(default=None, metadata=codec.later())
    """The last answer before this one, where it was a better one; `undecided` results between them are passed over."""
    withdrawn: Withdrawn | None = field(default=None, metadata=codec.later())
    """Why it is not to be relied on any more; then `verdict` is `undecided` and `reason` is the withdrawal's."""

    @property
    def word(self) -> Word:
        """What it says, in one word."""
        return word_of(self.verdict, withdrawn=self.withdrawn is not None)

    @property
    def changed_at(self) -> datetime:
        """When it was concluded, or withdrawn."""
        return self.concluded_at if self.withdrawn is None else self.withdrawn.withdrawn_at

    @property
    def is_regression(self) -> bool:
        """It was reproduced before, or equivalent, and is worse now."""
        return self.regressed_from is not None

    @property
    def is_disagreement(self) -> bool:
        """Builders of one plan gave different bytes."""
        return Cause.DISAGREEMENT in self.causes


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of a package in one ecosystem: the newest result of each architecture, and what they amount to."""

    latest: tuple[Summary, ...]
    """Sorted by architecture; never empty."""
    older: tuple[Summary, ...] = ()
    """Superseded results, newest first."""

    @property
    def verdict(self) -> Verdict:
        """The worst of the newest results; a withdrawn one is undecided."""
        return worst(summary.verdict for summary in self.latest)

    @property
    def word(self) -> Word:
        """What they amount to, in one word: `withdrawn` where one of them was, and none is worse than that."""
        return word_of(self.verdict, withdrawn=bool(self.withdrawn))

    @property
    def withdrawn(self) -> tuple[Withdrawn, ...]:
        """The withdrawals among the newest results."""
        return tuple(summary.withdrawn for summary in self.latest if summary.withdrawn is not None)

    @property
    def causes(self) -> tuple[Cause, ...]:
        """Of all newest results, security-relevant first."""
        return in_reporting_order({cause for summary in self.latest for cause in summary.causes})

    @property
    def concluded_at(self) -> datetime:
        """When the newest of them was concluded."""
        return max(summary.concluded_at for summary in self.latest)

    @property
    def first_seen(self) -> datetime:
        """When anything was first concluded about this version."""
        return min(summary.concluded_at for summary in (*self.latest, *self.older))

    @property
    def is_alarming(self) -> bool:
        """Whether any of the newest results is."""
        return any(summary.alarming for summary in self.latest)

    @property
    def is_regression(self) -> bool:
        """Whether any of the newest results is."""
        return any(summary.is_regression for summary in self.latest)


def is_alarming(dossier: Dossier) -> bool:
    """Whether a deterministic, security-relevant change was found in an exact environment."""
    exact = dossier.plan is not None and dossier.plan.environment.fidelity is Fidelity.EXACT
    return exact and any(_is_deterministic_change(artifact) for artifact in dossier.comparison.artifacts)


def summarize(results: Sequence[Result]) -> tuple[Summary, ...]:
    """Summaries of one package's results, given and returned oldest first, each knowing the one before it.

    What comes before is of the same suite and architecture: another suite's version has another past.
    One that was withdrawn is nobody's past: what comes after it is neither better nor worse than it. What is undecided
    is neither, too (the ledger's `regressions_among` says the same).
    """
    newest: dict[tuple[str, str, str], Summary] = {}
    decided: dict[tuple[str, str, str], Summary] = {}
    summaries = []
    for result in results:
        release = result.dossier.release
        line = (release.distribution, base_suite(release.suite), result.dossier.architecture)
        summary = _summary(result, newest.get(line), decided.get(line))
        if summary.withdrawn is None:
            newest[line] = summary
            if summary.verdict is not Verdict.UNDECIDED:
                decided[line] = summary
        summaries.append(summary)
    return tuple(summaries)


def group(summaries: Iterable[Summary]) -> tuple[Version, ...]:
    """Group results, oldest first, of any packages into versions; the one seen last comes first.

    Versions are ordered by when they were first concluded, so that looking again at an old version does not make it
    the newest.
    """
    by_version: dict[tuple[str, str, str], list[Summary]] = {}
    for summary in summaries:
        by_version.setdefault((summary.ecosystem, summary.name, summary.version), []).append(summary)
    versions = [_version(members) for members in by_version.values()]
    versions.sort(key=lambda version: (version.latest[0].name, version.latest[0].version))
    versions.sort(key=lambda version: version.first_seen, reverse=True)
    return tuple(versions)


def newest_first(versions: Iterable[Version]) -> tuple[Version, ...]:
    """Order versions of one package as its ecosystem does, the newest first, whichever was looked at last.

    Where the ecosystem's order is not known, they stay as they are.
    """
    return tuple(sorted(versions, key=_version_key, reverse=True))


def _version_key(version: Version) -> Key:
    return version_key(version.latest[0].ecosystem, version.latest[0].version)


def _version(members: Sequence[Summary]) -> Version:
    latest = standing(members, lambda summary: summary.architecture)
    older = [summary for summary in members if latest[summary.architecture] is not summary]
    return Version(
        latest=tuple(latest[architecture] for architecture in sorted(latest)),
        older=tuple(reversed(older)),
    )


def standing(summaries: Iterable[Summary], name: Callable[[Summary], Name]) -> dict[Name, Summary]:
    """Of summaries, oldest first, keep under each name the newest that says something about the release.

    One that is only about the machine that tried (`undecided`, cause `infrastructure`) takes no earlier answer's place.
    A withdrawn one keeps its place, unless it was withdrawn in favour of another under the same name.
    """
    newest: dict[Name, Summary] = {}
    members: dict[Name, dict[Digest, Summary]] = {}
    for summary in summaries:
        members.setdefault(name(summary), {})[summary.dossier] = summary
        if name(summary) not in newest or not _says_nothing(summary):
            newest[name(summary)] = summary
    return {each: _successor(summary, members[each]) for each, summary in newest.items()}


def newest_beside(summaries: Iterable[Summary]) -> dict[PurePosixPath, Summary]:
    """Of summaries, oldest first, keep the newest beside each other that was not withdrawn, or else the newest."""
    newest: dict[PurePosixPath, Summary] = {}
    for summary in summaries:
        place = PurePosixPath(summary.path).parent
        if place not in newest or summary.withdrawn is None or newest[place].withdrawn is not None:
            newest[place] = summary
    return newest


def _successor(summary: Summary, members: Mapping[Digest, Summary]) -> Summary:
    """Follow withdrawals to the result that stands instead; the withdrawn one itself where they lead to none."""
    current, passed = summary, {summary.dossier}
    while current.withdrawn is not None and current.withdrawn.superseded_by is not None:
        instead = members.get(current.withdrawn.superseded_by.dossier)
        if instead is None or instead.dossier in passed:
            return summary
        passed.add(instead.dossier)
        current = instead
    return current if current.withdrawn is None else summary


def _says_nothing(summary: Summary) -> bool:
    """Whether a result is only about the machine that tried."""
    return summary.verdict is Verdict.UNDECIDED and set(summary.causes) == {Cause.INFRASTRUCTURE}


def _summary(result: Result, before: Summary | None, decided: Summary | None) -> Summary:
    dossier, release, plan = result.dossier, result.dossier.release, result.dossier.plan
    gone = result.withdrawal
    return Summary(
        path=str(result.path),
        target=release.target,
        ecosystem=layout.package_path(dossier).parts[0],
        distribution=release.distribution,
        suite=release.suite,
        name=release.name,
        version=plan.version if plan else release.version,
        architecture=dossier.architecture,
        verdict=result.verdict,
        causes=dossier.causes if gone is None else (),
        reason=(dossier.reason if gone is None else gone.reason)[:_REASON_LIMIT],
        alarming=gone is None and is_alarming(dossier),
        fidelity=plan.environment.fidelity if plan else None,
        artifacts=len(dossier.comparison.artifacts),
        concluded_at=dossier.concluded_at,
        dossier=result.digest,
        plan=Digest.of(codec.render(plan)) if plan else None,
        previous=_previous(before),
        regressed_from=_previous(decided) if _is_worse(result.verdict, decided) else None,
        withdrawn=Withdrawn.of(gone, dossier) if gone is not None else None,
    )


def _is_worse(verdict: Verdict, decided: Summary | None) -> bool:
    answered = verdict is not Verdict.UNDECIDED
    return answered and decided is not None and verdict.badness > decided.verdict.badness


def _previous(before: Summary | None) -> Previous | None:
    if before is None:
        return None
    return Previous(path=before.path, version=before.version, verdict=before.verdict)


def _is_deterministic_change(artifact: ArtifactComparison) -> bool:
    return (
        artifact.verdict is Verdict.DIFFERENT
        and artifact.control is Control.DETERMINISTIC
        and any(cause.is_security_relevant for cause in artifact.causes)
    )
