"""A suite's signed Release file, and whether it is the one that was asked for and still current.

https://wiki.debian.org/DebianRepository/Format#A.22Release.22_files, as apt reads it (apt-secure(8), sources.list(5)).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from debian.deb822 import Deb822

from rebuilder.config import Policy
from rebuilder.errors import HostileInput, StaleInput, UntrustedError
from rebuilder.model.codec import parse_json, parse_time, render_time
from rebuilder.model.digest import Digest
from rebuilder.world.files import locked, read, write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping

FUTURE_TOLERANCE = timedelta(hours=1)
"""How far a mirror's clock may be ahead of ours."""

_PATH = re.compile(r"[A-Za-z0-9+._-]+(?:/[A-Za-z0-9+._-]+)*\Z")
_MEMORY_LIMIT_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexEntry:
    """A file below `dists/<suite>/` that the Release file vouches for."""

    path: str
    size_bytes: int
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseFile:
    """What a signed Release file says."""

    origin: str
    label: str
    suite: str
    codename: str
    date: datetime
    valid_until: datetime | None
    by_hash: bool
    """Whether indices are also served under their digest."""
    all_is_apart: bool
    """Whether arch:all packages have an index of their own that must be read beside the architecture's."""
    architectures: tuple[str, ...]
    components: tuple[str, ...]
    """Without a prefix: `updates/main` of an old security suite is `main`."""
    entries: Mapping[str, IndexEntry]


def parse(text: bytes, name: str) -> ReleaseFile:
    """Read verified text; raise HostileInput for one that lacks what every Release file of a suite has."""
    try:
        fields = Deb822(text.decode("utf-8"))
    except (UnicodeDecodeError, ValueError) as error:
        raise HostileInput(f"{name}: unreadable Release file: {error}") from error
    architectures = tuple(fields.get("Architectures", "").split())
    apart = "all" in architectures and "Packages" not in fields.get("No-Support-for-Architecture-all", "").split()
    return ReleaseFile(
        origin=fields.get("Origin", ""),
        label=fields.get("Label", ""),
        suite=fields.get("Suite", ""),
        codename=fields.get("Codename", ""),
        date=_time(fields.get("Date", ""), f"{name}: Date"),
        valid_until=_time(fields["Valid-Until"], f"{name}: Valid-Until") if "Valid-Until" in fields else None,
        by_hash=fields.get("Acquire-By-Hash", "") == "yes",
        all_is_apart=apart,
        architectures=architectures,
        components=tuple(word.rpartition("/")[2] for word in fields.get("Components", "").split()),
        entries=_entries(fields.get("SHA256", ""), name),
    )


def verify_identity(release: ReleaseFile, suite: str, name: str) -> None:
    """Raise UntrustedError unless the signed fields name the suite that was asked: a mirror may serve another's."""
    if suite not in {release.suite, release.codename}:
        raise UntrustedError(
            f"{name}: asked for the suite {suite},"
            f" and the signed file is that of {release.codename or '?'} ({release.suite or '?'})",
            hint="the mirror serves one suite under another's name",
        )


def judge_freshness(release: ReleaseFile, now: datetime, policy: Policy, name: str) -> tuple[str, ...]:
    """Return what a reader should know about a Release file's age; raise StaleInput if policy refuses it.

    Without Valid-Until freshness is unknown: whoever serves the file may hold newer ones back. Policy bounds its Date.
    """
    if release.date > now + FUTURE_TOLERANCE:
        raise StaleInput(
            f"{name}: dated {render_time(release.date)}, which is after now ({render_time(now)})",
            hint="is this machine's clock right?",
        )
    if release.valid_until is None:
        age = now - release.date
        if age > policy.unknown_freshness_max_age:
            raise StaleInput(
                f"{name}: has no Valid-Until, and its Date {render_time(release.date)} is {age.days} days ago;"
                f" policy accepts {policy.unknown_freshness_max_age.days}",
                hint="raise policy.unknown_freshness_max_age to accept it",
            )
        return (f"freshness: unknown, for it has no Valid-Until; dated {render_time(release.date)}",)
    if release.valid_until < now:
        late = now - release.valid_until
        if not policy.accept_expired:
            raise StaleInput(
                f"{name}: expired on {render_time(release.valid_until)}, {late.days} days ago",
                hint="use a mirror that is kept up to date, or set policy.accept_expired: the evidence will say so",
            )
        return (f"freshness: expired since {render_time(release.valid_until)}, accepted by policy",)
    return ()


def _alias(release: ReleaseFile, suite: str) -> str:
    if suite in {"", release.codename} or not release.codename:
        return ""
    return f"; {suite} is an alias of {release.codename}, and this mirror's copy is older"


def remember(release: ReleaseFile, path: Path, policy: Policy, name: str, *, suite: str = "") -> tuple[str, ...]:
    """Keep the highest Date seen at `path`; raise StaleInput for a file that is older, unless policy accepts that.

    Return what a reader should know: that this is the first sight, or that an older file was accepted.
    """
    with locked(path.with_suffix(".lock")):
        seen = _seen(path)
        if seen is not None and release.date < seen:
            if not policy.accept_rollback:
                raise StaleInput(
                    f"{name}: dated {render_time(release.date)}, but one of {render_time(seen)} was seen before"
                    f"{_alias(release, suite)}",
                    hint="the mirror went back in time; use another, or set policy.accept_rollback",
                )
            return (f"rollback: one of {render_time(seen)} was seen before, accepted by policy",)
        if seen != release.date:
            write_atomically(path, json.dumps({"date": render_time(release.date)}).encode() + b"\n")
    return () if seen is not None else ("rollback: this suite was not seen here before",)


def _seen(path: Path) -> datetime | None:
    """Read the memory; a damaged one is refused rather than forgotten."""
    if not path.exists():
        return None
    try:
        return parse_time(parse_json(read(path, limit_bytes=_MEMORY_LIMIT_BYTES))["date"])
    except (HostileInput, KeyError, TypeError, ValueError) as error:
        raise StaleInput(
            f"the memory of dates seen, {path.name}, is damaged", hint=f"look at {path}; remove it to forget"
        ) from error


def _time(text: str, name: str) -> datetime:
    """Read an RFC 5322 date as archives write it, in UTC."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError) as error:
        raise HostileInput(f"{name} is no date: {text[:60]!r}") from error
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)


def _entries(text: str, name: str) -> Mapping[str, IndexEntry]:
    entries: dict[str, IndexEntry] = {}
    for line in text.splitlines():
        words = line.split()
        if not words:
            continue
        if (
            len(words) != 3
            or not words[1].isdigit()
            or len(words[1]) > 15
            or not _PATH.match(words[2])
            or ".." in words[2]
        ):
            raise HostileInput(f"{name}: unreadable SHA256 line {line[:120]!r}")
        try:
            entry = IndexEntry(path=words[2], size_bytes=int(words[1]), digest=Digest(words[0]))
        except ValueError as error:
            raise HostileInput(f"{name}: {error}") from error
        if entries.setdefault(entry.path, entry) != entry:
            raise HostileInput(f"{name}: {entry.path} is listed with two digests")
    if not entries:
        raise HostileInput(f"{name}: lists no SHA-256 digests")
    return MappingProxyType(entries)
