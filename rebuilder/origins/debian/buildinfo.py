"""What a .buildinfo says about the build that made the published packages (deb-buildinfo(5)).

It is the builder's own claim. It defines an environment only after its signature was looked at (policy says what is
required) and its checksums were found to be those of the release: then at least it speaks of these very files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from debian.deb822 import Deb822

from rebuilder.config import Policy
from rebuilder.errors import DigestMismatch, HostileInput, SignatureRefused
from rebuilder.model.digest import Digest
from rebuilder.model.evidence import Evidence, Standing
from rebuilder.model.release import FileReference, Release
from rebuilder.origins.debian import source
from rebuilder.origins.debian.changelog import parse_entry
from rebuilder.origins.debian.recipe import Honoured
from rebuilder.origins.debian.stanza import ARCHITECTURE, check_name, check_version, file_version, parse_files
from rebuilder.trust import openpgp
from rebuilder.world.files import read, storage_errors
from rebuilder.world.http import Fetcher, NotFound

SCHEME = "openpgp-buildinfo"
LIMIT_BYTES = 8 * 1024**2
_WHOLE = "is it a .buildinfo (deb-buildinfo(5)), and whole? leave it out to rebuild in the suite as it is now"

_INSTALLED_LIMIT = 5000
_SOURCE = re.compile(r"(?P<name>[a-z0-9][a-z0-9+.-]+)(?: \((?P<version>[^ ()]+)\))?\Z")
_INSTALLED = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9+.-]+)(?::(?P<architecture>[a-z0-9-]+))? \(= (?P<version>[^ ()]+)\)\Z"
)
_VARIABLE = re.compile(r'(?P<name>[A-Za-z_][A-Za-z0-9_]*)="(?P<value>(?:[^"\\]|\\.)*)"\Z')
_VALUE_LIMIT = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """One package that was installed while the build ran."""

    name: str
    version: str
    architecture: str | None
    """Where it is said (a foreign one); else the build's, or `all`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Buildinfo:
    """What a .buildinfo says; nothing of it is verified by reading."""

    source: str
    source_version: str
    version: str
    """Of the build: with +bN for a binary-only rebuild."""
    build_architecture: str
    files: tuple[FileReference, ...]
    installed: tuple[Installed, ...]
    """At least one."""
    build_path: str | None
    variables: tuple[tuple[str, str], ...]
    changelog: str | None
    """The entry of a binary-only rebuild."""


def parse(document: bytes, name: str) -> Buildinfo:
    """Read a .buildinfo, signed or not; of a signed one only what its frame covers.

    Raise HostileInput for one that lacks a field that an environment needs, SignatureRefused for a broken frame.
    """
    if len(document) > LIMIT_BYTES:
        raise HostileInput(f"{name}: {len(document)} bytes; at most {LIMIT_BYTES} are read")
    text = openpgp.unframed(document, name) if openpgp.is_signed(document) else document
    try:
        fields = Deb822(text.decode("utf-8"))
    except (UnicodeDecodeError, ValueError) as error:
        raise HostileInput(f"{name}: unreadable: {error}", hint=_WHOLE) from error
    missing = [field for field in _NEEDED if not fields.get(field)]
    if missing:
        raise HostileInput(f"{name}: has no {', '.join(missing)}", hint=_WHOLE)
    match, version = _SOURCE.match(fields["Source"]), check_version(fields["Version"])
    if match is None or not ARCHITECTURE.match(fields["Build-Architecture"]):
        raise HostileInput(f"{name}: unreadable Source or Build-Architecture", hint=_WHOLE)
    return Buildinfo(
        source=check_name(match["name"]),
        source_version=check_version(match["version"] or version),
        version=version,
        build_architecture=fields["Build-Architecture"],
        files=parse_files(fields["Checksums-Sha256"]),
        installed=tuple(_installed(fields["Installed-Build-Depends"], name)),
        build_path=fields.get("Build-Path"),
        variables=tuple(_variables(fields.get("Environment", ""), name)),
        changelog=_entry(fields.get("Binary-Only-Changes"), match["name"], version),
    )


_NEEDED = ("Source", "Version", "Build-Architecture", "Checksums-Sha256", "Installed-Build-Depends")


def load(path: Path) -> bytes:
    """Read a .buildinfo that somebody gave; raise HostileInput for one longer than any is."""
    with storage_errors(path):
        size = path.stat().st_size
    if size > LIMIT_BYTES:
        raise HostileInput(f"{path.name}: {size} bytes; at most {LIMIT_BYTES} are read", hint=_WHOLE)
    return read(path, limit_bytes=LIMIT_BYTES)


def verify_subject(buildinfo: Buildinfo, release: Release, name: str) -> None:
    """Raise DigestMismatch unless a .buildinfo is about this release: its source, and the published bytes.

    Every artifact that both name must have the same digest, and there must be at least one.
    """
    if (buildinfo.source, buildinfo.source_version) != (release.name, release.version):
        raise DigestMismatch(
            f"{name}: expected one of {release.name} {release.version},"
            f" found {buildinfo.source} {buildinfo.source_version}"
        )
    claimed = {file.filename: file.digest for file in buildinfo.files}
    published = {a.filename: a.reference.digest for a in release.artifacts if a.reference is not None}
    common = sorted(claimed.keys() & published.keys())
    if not common:
        raise DigestMismatch(
            f"{name}: names none of the published artifacts of {release.name} {release.version}",
            hint="a .buildinfo of another architecture, or of another binary-only rebuild?",
        )
    for filename in common:
        if claimed[filename] != published[filename]:
            raise DigestMismatch(
                f"{filename}: the signed index says {published[filename]}, {name} says {claimed[filename]}",
                hint="this .buildinfo is of another build than the published one",
            )


def judge_signature(document: bytes, name: str, keyrings: Sequence[Path], policy: Policy) -> Evidence:
    """Say what a .buildinfo's signature is worth; raise SignatureRefused where policy requires a valid one.

    Debian's build daemons sign with keys that no keyring package has: name a keyring of them in the settings, or let
    policy record.
    """
    reference = FileReference(filename=Path(name).name, size_bytes=len(document), digest=Digest.of(document))
    judged = source.judge_signature(document, reference, keyrings, second=policy.second_opinion)
    evidence = replace(
        judged,
        scheme=SCHEME,
        not_checked=("whether that key may build for this archive", "what it says of the original environment"),
    )
    if policy.buildinfo_signature == "require" and evidence.outcome is not Standing.VERIFIED:
        raise SignatureRefused(
            f"{name}: policy requires a valid signature by a known key, and {evidence.reason}",
            hint='policy.buildinfo_signature = "record" accepts it, and the evidence says so',
        )
    return evidence


def find_in_pool(fetcher: Fetcher, pool: str, *, name: str, version: str, architecture: str) -> bytes | None:
    """Fetch a build's .buildinfo from a pool (`c/cjson/cjson_1.7.18-3_amd64.buildinfo`), None if it has none.

    Raise NetworkFailure when the pool cannot be asked. What it gives is untrusted.
    """
    letter = name[:4] if name.startswith("lib") else name[:1]
    filename = quote(f"{name}_{file_version(version)}_{architecture}.buildinfo", safe="+~")
    address = f"{pool.rstrip('/')}/{quote(letter)}/{quote(name, safe='+')}/{filename}"
    try:
        return fetcher.get(address, limit_bytes=LIMIT_BYTES)
    except NotFound:
        return None


def honoured(buildinfo: Buildinfo, allowed: Sequence[Honoured]) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """Return the variables that the rebuild takes over, and the names of those that it does not."""
    patterns = [re.compile(entry.pattern) for entry in allowed]
    taken = {
        name: value
        for name, value in buildinfo.variables
        if any(pattern.fullmatch(name) for pattern in patterns) and _is_plain(value)
    }
    return taken, tuple(name for name, _ in buildinfo.variables if name not in taken)


def _is_plain(value: str) -> bool:
    return len(value) <= _VALUE_LIMIT and all(letter.isprintable() for letter in value)


def _installed(text: str, name: str) -> Iterator[Installed]:
    entries = [entry.strip() for entry in text.replace("\n", " ").split(",") if entry.strip()]
    if not entries or len(entries) > _INSTALLED_LIMIT:
        raise HostileInput(f"{name}: 1 to {_INSTALLED_LIMIT} Installed-Build-Depends are read, found {len(entries)}")
    seen: set[tuple[str, str | None]] = set()
    for entry in entries:
        match = _INSTALLED.match(entry)
        if match is None:
            raise HostileInput(f"{name}: unreadable in Installed-Build-Depends: {entry[:80]!r}")
        key = (match["name"], match["architecture"])
        if key in seen:
            raise HostileInput(f"{name}: {match['name']} is installed twice")
        seen.add(key)
        yield Installed(
            name=check_name(match["name"]), version=check_version(match["version"]), architecture=match["architecture"]
        )


def _variables(text: str, name: str) -> Iterator[tuple[str, str]]:
    for line in (line.strip() for line in text.splitlines()):
        if not line:
            continue
        match = _VARIABLE.match(line)
        if match is None:
            raise HostileInput(f"{name}: unreadable in Environment: {line[:80]!r}")
        yield match["name"], re.sub(r"\\(.)", r"\1", match["value"])


def _entry(text: str | None, source_name: str, version: str) -> str | None:
    """Undo deb822's folding of a changelog entry (one leading space a line, `.` for an empty line), and check it."""
    if text is None:
        return None
    lines = [line.removeprefix(" ") for line in text.strip("\n").split("\n")]
    unfolded = "\n".join("" if line == "." else line for line in lines)
    return parse_entry(unfolded.encode(), source=source_name, version=version)
