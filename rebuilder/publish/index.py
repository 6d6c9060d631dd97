"""The machine-readable lists: `index.json` of everything and of each package, and the look-up by digest.

`<ecosystem>/<name>/index.json` lists every result of a package, oldest first. `index.json` lists the newest result of
each package, version and architecture. `by-digest/sha256/<hex>.json` lists the results in which a file occurs. All are
canonical JSON of the values below, and derived: delete them and they come back the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from rebuilder.model.agreement import digest_in
from rebuilder.model.codec import later
from rebuilder.model.digest import Digest
from rebuilder.model.verdict import Verdict
from rebuilder.publish.scan import Result, Unreadable
from rebuilder.publish.summary import Summary, group, standing
from rebuilder.publish.word import Word

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """Results in short."""

    schema_version: int
    as_of: datetime | None
    """When the newest listed result was concluded or withdrawn; None when nothing is listed."""
    counts: Mapping[str, int]
    """How many versions have which verdict, counting the worst of each version's newest results; and how many of
    them were `withdrawn`, where any was."""
    results: tuple[Summary, ...]
    unreadable: tuple[Unreadable, ...]
    """Directories that hold no readable result; to be looked into, never skipped silently."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One result in which a file occurs."""

    path: str
    """Directory of the result, relative to the results."""
    filename: str
    role: str
    """`reference`, `rebuilt` or `source`."""
    target: str
    verdict: Verdict
    """Of the artifact; for a source, of the whole result; `undecided` where that was withdrawn."""
    concluded_at: datetime
    withdrawn: str | None = field(default=None, metadata=later())
    """Why the result is not to be relied on any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sightings:
    """Everything that was concluded about one file."""

    schema_version: int
    digest: Digest
    results: tuple[Sighting, ...]


def make_index(results: Iterable[Summary], unreadable: Iterable[Unreadable]) -> Index:
    """List results in the order given; the counts and the time follow from them."""
    listed = tuple(results)
    words = [version.word for version in group(listed)]
    shown = [word for word in Word if word is not Word.WITHDRAWN or word in words]
    return Index(
        schema_version=SCHEMA_VERSION,
        as_of=max((summary.changed_at for summary in listed), default=None),
        counts={word.value: words.count(word) for word in shown},
        results=listed,
        unreadable=tuple(sorted(unreadable, key=lambda entry: entry.path)),
    )


def newest_of(summaries: Iterable[Summary]) -> tuple[Summary, ...]:
    """Of one package's summaries, oldest first, keep the newest of each version and architecture."""
    newest = standing(summaries, lambda summary: (summary.version, summary.architecture))
    return tuple(sorted(newest.values(), key=lambda summary: summary.path))


def replace_packages(index: Index, renewed: Mapping[str, tuple[Iterable[Summary], Iterable[Unreadable]]]) -> Index:
    """Return the same index with some packages' entries exchanged, in the order in which a full run would give them."""
    results = [summary for summary in index.results if _package_of(summary.path) not in renewed]
    damaged = [entry for entry in index.unreadable if _package_of(entry.path) not in renewed]
    for newest, unreadable in renewed.values():
        results.extend(newest)
        damaged.extend(unreadable)
    return make_index(sorted(results, key=lambda summary: summary.path), damaged)


def _package_of(path: str) -> str:
    """Return the package's directory of a result's."""
    return "/".join(path.split("/", 2)[:2])


def sightings(result: Result) -> dict[Digest, tuple[Sighting, ...]]:
    """Where each file of one result is mentioned in it."""
    found: dict[Digest, list[Sighting]] = {}
    for filename, role, verdict, digest in _mentions(result):
        sighting = Sighting(
            path=str(result.path),
            filename=filename,
            role=role,
            target=result.dossier.release.target,
            verdict=verdict if result.withdrawal is None else Verdict.UNDECIDED,
            concluded_at=result.dossier.concluded_at,
            withdrawn=result.withdrawal.reason if result.withdrawal is not None else None,
        )
        if sighting not in found.setdefault(digest, []):
            found[digest].append(sighting)
    return {digest: tuple(entries) for digest, entries in found.items()}


def merge_sightings(digest: Digest, known: Iterable[Sighting], fresh: Iterable[Sighting]) -> Sightings:
    """Put a result's sightings of a file among those known; its own earlier ones are replaced."""
    added = tuple(fresh)
    replaced = {sighting.path for sighting in added}
    kept = [sighting for sighting in known if sighting.path not in replaced]
    entries = sorted([*kept, *added], key=lambda entry: (entry.concluded_at, entry.path, entry.role, entry.filename))
    return Sightings(schema_version=SCHEMA_VERSION, digest=digest, results=tuple(reversed(entries)))


def _mentions(result: Result) -> Iterable[tuple[str, str, Verdict, Digest]]:
    dossier = result.dossier
    for artifact in dossier.comparison.artifacts:
        if artifact.reference:
            yield artifact.filename, "reference", artifact.verdict, artifact.reference.digest
        if artifact.rebuilt:
            yield artifact.filename, "rebuilt", artifact.verdict, artifact.rebuilt.digest
            continue
        for run in dossier.runs if dossier.others else ():  # builders that differ: what each of them gave
            if made := digest_in(run, artifact.filename):
                yield artifact.filename, "rebuilt", artifact.verdict, made
    for source in dossier.release.sources:
        yield source.filename, "source", dossier.verdict, source.digest
