"""Versions that the mirrors no longer carry, from a snapshot archive.

Its layout (https://salsa.debian.org/snapshot-team/snapshot/-/raw/master/API):

    /mr/binary/<package>/<version>/binfiles?fileinfo=1    JSON: when and where each file of a version was first seen
    /archive/<archive>/<timestamp>/dists/…, …/pool/…      an archive as it was at that moment
    /file/<sha1>                                          a file by its SHA-1

The JSON is untrusted: it is only a hint where to look. What a package's bytes are is read from the signed indices of
the moment, verified like a mirror's, with one exception: whether they are current is no question, for the moment is
named, and the evidence says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from rebuilder.config import Archive, Settings
from rebuilder.errors import HostileInput, UnknownTarget
from rebuilder.model import codec
from rebuilder.model.evidence import Evidence
from rebuilder.model.plan import Package
from rebuilder.origins.debian import indices
from rebuilder.origins.debian.index import IndexFile, IndexKind, find_packages
from rebuilder.origins.debian.indices import IndexReader
from rebuilder.origins.debian.mirrors import SuitePart
from rebuilder.origins.debian.suite import Opener
from rebuilder.store.blobs import BlobStore
from rebuilder.world.http import Fetcher, NotFound

LABEL = "snapshot"
"""Archives of a snapshot are labelled `snapshot/<archive>/<timestamp>`."""

_ARCHIVES = ("debian", "debian-security")
_TIMESTAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z\Z")
_SHA1 = re.compile(r"[0-9a-f]{40}\Z")
_ANSWER_LIMIT_BYTES = 4 * 1024**2
_SIGHTINGS_LIMIT = 256
_MOMENTS_LIMIT = 16
_AT_ONCE = 4
_CENTURY = timedelta(days=36500)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """One package of a known version."""

    name: str
    version: str
    architecture: str
    """Of the build; an arch:all package of the version is as good."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Moment:
    """One archive at one time."""

    timestamp: str
    archive: str

    @property
    def label(self) -> str:
        """How plans name it."""
        return f"{LABEL}/{self.archive}/{self.timestamp}"

    @property
    def time(self) -> datetime:
        """The timestamp, in UTC."""
        return datetime.strptime(self.timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What the snapshot's JSON says about one file; a hint."""

    sha1: str
    architecture: str
    moments: tuple[Moment, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Verified packages of the past."""

    packages: Mapping[Sought, Package]
    indices: tuple[IndexFile, ...]
    """The verified indices that name them."""
    evidence: tuple[Evidence, ...]
    """About these indices and their InRelease files."""


class Past(Protocol):
    """Whoever can say what was signed earlier."""

    def find(self, sought: Sequence[Sought], suites: Sequence[str]) -> Found:
        """Find as many of the packages as there are; what is missing is missing in the answer."""


class Snapshot:
    """One snapshot archive, at `settings.debian.snapshot`."""

    def __init__(self, base: str, settings: Settings, fetcher: Fetcher, blobs: BlobStore) -> None:
        self._base = base.rstrip("/")
        self._settings = settings
        self._fetcher = fetcher
        self._blobs = blobs

    def find(self, sought: Sequence[Sought], suites: Sequence[str]) -> Found:
        """Find as many of the packages as the snapshot has; what is missing is missing in the answer.

        1. Ask by package when each version was first seen, and in which archive.
        2. Go back through these moments, newest first: at the moment when the newest of a build's packages was first
           seen, most of the others were in the suite as well.
        3. At each moment read the signed indices of the suites and take what they name, until nothing is missing.

        Bounded in moments. Raise UntrustedError when an InRelease or index of the past fails verification,
        NetworkFailure when the snapshot cannot be asked.
        """
        # 1.
        with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
            answers = pool.map(lambda each: self.sightings(each.name, each.version), sought)
        seen = {each: _moments_of(each, answer) for each, answer in zip(sought, answers, strict=True)}
        packages: dict[Sought, Package] = {}
        used: list[IndexFile] = []
        evidence: list[Evidence] = []
        # 2.
        tried: set[Moment] = set()
        while len(tried) < _MOMENTS_LIMIT:
            left = [each for each in sought if each not in packages]
            moments = [max(candidates) for each in left if (candidates := seen[each] - tried)]
            if not moments:
                break
            moment = max(moments)
            tried.add(moment)
            # 3.
            for suite in suites:
                left = [each for each in left if each not in packages]
                for index, pieces in self._indices(moment, suite, left[0].architecture) if left else ():
                    named = _named(index, left)
                    if named:
                        packages.update(named)
                        used.append(index)
                        evidence += pieces
        return Found(packages=packages, indices=tuple(used), evidence=tuple(dict.fromkeys(evidence)))

    def sightings(self, name: str, version: str) -> tuple[Sighting, ...]:
        """Ask where the files of a binary package's version were seen; empty when it is unknown there."""
        address = f"{self._base}/mr/binary/{quote(name, safe='+')}/{quote(version, safe='+~:')}/binfiles?fileinfo=1"
        try:
            return parse_sightings(self._fetcher.get(address, limit_bytes=_ANSWER_LIMIT_BYTES))
        except NotFound:
            return ()

    def addresses(self, package: Package) -> Iterator[str]:
        """Where the bytes of a package may be had, for one whose digest is known: at its moment, else by its SHA-1."""
        parsed = moment_of(package.archive)
        if parsed is not None and package.location is not None:
            yield f"{self._base}/archive/{parsed.archive}/{parsed.timestamp}/{package.location}"
        for sighting in self.sightings(package.name, package.version):
            if sighting.architecture == package.architecture:
                yield f"{self._base}/file/{sighting.sha1}"

    def _indices(self, moment: Moment, suite: str, architecture: str) -> Iterator[tuple[IndexFile, list[Evidence]]]:
        """Read a suite's Packages indices at a moment; none when the archive had no such suite then."""
        settings = self._as_of(moment)
        archive = Archive(
            label=moment.label,
            uri=f"{self._base}/archive/{moment.archive}/{moment.timestamp}",
            suites=(suite,),
            keyrings=self._keyrings(moment.archive),
        )
        part = SuitePart(suite=suite, label=moment.label, mirrors=(archive,))
        try:
            opened = Opener(settings, self._fetcher, self._blobs).open(part, moment.time)
        except UnknownTarget:
            return
        opened = replace(opened, evidence=_of_the_past(opened.evidence, moment))
        reader = IndexReader(settings, self._fetcher, self._blobs)
        for wanted in indices.wanted(opened, architecture):
            if wanted.kind is IndexKind.PACKAGES:
                index = reader.read(wanted)
                yield index, [opened.evidence, indices.evidence(index, opened)]

    def _as_of(self, moment: Moment) -> Settings:
        """Return settings that judge the past: its age is no fault, and it is no memory of the present."""
        policy = replace(
            self._settings.policy, accept_expired=True, accept_rollback=True, unknown_freshness_max_age=_CENTURY
        )
        state = self._settings.snapshots_dir / moment.archive / moment.timestamp
        return replace(self._settings, policy=policy, state=state)

    def _keyrings(self, archive: str) -> tuple[Path, ...]:
        """Certificates configured for the archive of that name, if any."""
        return next((each.keyrings for each in self._settings.debian.archives if each.label == archive), ())


def parse_sightings(document: bytes) -> tuple[Sighting, ...]:
    """Read a `binfiles` answer; raise HostileInput for one of another shape. What is no use to us is left out."""
    plain = codec.parse_json(document)
    try:
        info, result = plain["fileinfo"], plain["result"]
        if len(result) > _SIGHTINGS_LIMIT or len(info) > _SIGHTINGS_LIMIT:
            raise HostileInput(f"a snapshot's answer lists more than {_SIGHTINGS_LIMIT} files")
        return tuple(
            Sighting(sha1=entry["hash"], architecture=entry["architecture"], moments=_moments(info[entry["hash"]]))
            for entry in result
            if _SHA1.match(entry["hash"]) and isinstance(entry["architecture"], str)
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise HostileInput(f"a snapshot's answer has another shape than its API says: {error!r}"[:200]) from error


def moment_of(label: str | None) -> Moment | None:
    """Read the label of a snapshot's archive; None for any other label."""
    words = (label or "").split("/")
    if len(words) != 3 or words[0] != LABEL or words[1] not in _ARCHIVES or not _TIMESTAMP.match(words[2]):
        return None
    return Moment(archive=words[1], timestamp=words[2])


def _moments(entries: Sequence[Mapping[str, str]]) -> tuple[Moment, ...]:
    if len(entries) > _SIGHTINGS_LIMIT:
        raise HostileInput(f"a snapshot's answer lists more than {_SIGHTINGS_LIMIT} places of one file")
    return tuple(
        Moment(archive=entry["archive_name"], timestamp=entry["first_seen"])
        for entry in entries
        if entry["archive_name"] in _ARCHIVES and _is_time(entry["first_seen"])
    )


def _is_time(text: str) -> bool:
    try:
        return bool(_TIMESTAMP.match(text)) and datetime.strptime(text, "%Y%m%dT%H%M%SZ") is not None  # noqa: DTZ007
    except ValueError:
        return False


def _moments_of(sought: Sought, sightings: Sequence[Sighting]) -> set[Moment]:
    return {
        moment
        for sighting in sightings
        if sighting.architecture in {sought.architecture, "all"}
        for moment in sighting.moments
    }


def _named(index: IndexFile, sought: Sequence[Sought]) -> dict[Sought, Package]:
    wanted = {(each.name, each.version): each for each in sought}
    found: dict[Sought, Package] = {}
    for stanza in find_packages(index, {each.name for each in sought}):
        package = stanza.package
        each = wanted.get((package.name, package.version))
        if each is not None and package.architecture in {each.architecture, "all"}:
            found[each] = package
    return found


def _of_the_past(evidence: Evidence, moment: Moment) -> Evidence:
    note = f"freshness: Valid-Until is ignored, for the moment {codec.render_time(moment.time)} is named"
    return replace(evidence, not_checked=(note, *evidence.not_checked))
