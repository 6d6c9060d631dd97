"""Paragraphs of Packages and Sources indices as values.

Fields: Debian policy 5.2 to 5.6. Whatever an index of a signed suite says is taken as said, but nothing that could
leave a directory or name two things at once: names are checked here, once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from debian.deb822 import Deb822

from rebuilder.errors import HostileInput
from rebuilder.model.digest import Digest
from rebuilder.model.plan import Package
from rebuilder.model.release import FileReference

PACKAGE_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+\Z")
"""Debian policy 5.6.1; at most 255 characters, so that a file can be named after it."""
VERSION = re.compile(r"(?:[0-9]{1,9}:)?[A-Za-z0-9][A-Za-z0-9.+~:-]*\Z")
"""Debian policy 5.6.12; a few historical versions begin with a letter."""
ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9-]*\Z")

_LOCATION = re.compile(r"[A-Za-z0-9+._~:%@^=,-]+(?:/[A-Za-z0-9+._~:%@^=,-]+)*\Z")
_SOURCE_FIELD = re.compile(r"(?P<name>[a-z0-9][a-z0-9+.-]+)(?: \((?P<version>[^ ()]+)\))?\Z")
_NAME_LIMIT = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class BinaryStanza:
    """One binary package of an index."""

    package: Package
    source: str
    source_version: str
    """Of the source it was built from; differs from the package's for a binNMU."""
    suite: str
    """The suite whose index this is from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltPackage:
    """One line of a source's Package-List: what it builds, and where."""

    name: str
    kind: str
    """`deb` or `udeb`."""
    architectures: tuple[str, ...]
    """`any`, `all`, wildcards and names; empty when the source does not say."""
    profiles: tuple[str, ...] = ()
    """Alternatives of build profiles that it is built under; within one, `+` joins and `!name` is not under."""

    @property
    def is_built_by_default(self) -> bool:
        """Whether a build without any profile makes it."""
        return not self.profiles or any(all(term.startswith("!") for term in each.split("+")) for each in self.profiles)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStanza:
    """One version of a source package of an index."""

    name: str
    version: str
    files: tuple[FileReference, ...]
    """The .dsc and everything that it names."""
    builds: tuple[BuiltPackage, ...]
    archive: str
    suite: str

    @property
    def dsc(self) -> FileReference:
        """The one .dsc among the files."""
        return next(file for file in self.files if file.filename.endswith(".dsc"))


def check_name(name: str) -> str:
    """Return a package name that policy allows; raise HostileInput for any other."""
    if len(name) > _NAME_LIMIT or not PACKAGE_NAME.match(name):
        raise HostileInput(f"not a package name: {name[:80]!r}")
    return name


def check_version(version: str) -> str:
    """Return a version that policy allows; raise HostileInput for any other."""
    if len(version) > _NAME_LIMIT or not VERSION.match(version):
        raise HostileInput(f"not a package version: {version[:80]!r}")
    return version


def file_version(version: str) -> str:
    """Return a version as file names carry it: without its epoch (Debian policy 5.6.12)."""
    epoch, colon, rest = version.partition(":")
    return rest if colon and epoch.isdigit() else version


def parse_binary(stanza: bytes, archive: str, suite: str) -> BinaryStanza:
    """Read a paragraph of a Packages index; raise HostileInput if it lacks what identifies a file."""
    fields = _fields(stanza)
    name, version = check_name(_need(fields, "Package")), check_version(_need(fields, "Version"))
    match = _SOURCE_FIELD.match(fields.get("Source", name))
    if match is None:
        raise HostileInput(f"{name} {version}: unreadable Source field {fields['Source'][:80]!r}")
    architecture = _need(fields, "Architecture")
    if not ARCHITECTURE.match(architecture):
        raise HostileInput(f"{name} {version}: not an architecture: {architecture[:80]!r}")
    location = _location(_need(fields, "Filename"))
    package = Package(
        name=name,
        version=version,
        architecture=architecture,
        filename=location.rpartition("/")[2],
        size_bytes=_size(_need(fields, "Size")),
        digest=_digest(_need(fields, "SHA256")),
        location=location,
        archive=archive,
    )
    source_version = check_version(match["version"] or version)
    return BinaryStanza(package=package, source=match["name"], source_version=source_version, suite=suite)


def parse_source(stanza: bytes, archive: str, suite: str) -> SourceStanza:
    """Read a paragraph of a Sources index; raise HostileInput if it names no files, or not exactly one .dsc."""
    fields = _fields(stanza)
    name, version = check_name(_need(fields, "Package")), check_version(_need(fields, "Version"))
    directory = _location(_need(fields, "Directory"))
    files = parse_files(_need(fields, "Checksums-Sha256"), archive=archive, directory=directory)
    if sum(file.filename.endswith(".dsc") for file in files) != 1:
        raise HostileInput(f"{name} {version}: expected exactly one .dsc in the source index")
    return SourceStanza(
        name=name,
        version=version,
        files=files,
        builds=_package_list(fields.get("Package-List", "")),
        archive=archive,
        suite=suite,
    )


def parse_files(text: str, *, archive: str | None = None, directory: str | None = None) -> tuple[FileReference, ...]:
    """Read a `Checksums-Sha256` field: lines of digest, size and plain file name, each name once."""
    files = []
    for line in text.splitlines():
        words = line.split()
        if not words:
            continue
        if len(words) != 3:
            raise HostileInput(f"expected digest, size and name, found {line[:80]!r}")
        digest, size, filename = words
        location = f"{directory}/{filename}" if directory else None
        if "/" in filename or not _LOCATION.match(filename) or filename in {".", ".."}:
            raise HostileInput(f"not a plain file name: {filename[:80]!r}")
        files.append(
            FileReference(
                filename=filename, size_bytes=_size(size), digest=_digest(digest), location=location, archive=archive
            )
        )
    if len({file.filename for file in files}) != len(files):
        raise HostileInput("a file is named twice in Checksums-Sha256")
    return tuple(files)


def _package_list(text: str) -> tuple[BuiltPackage, ...]:
    """Read a `Package-List` field (deb-src-control(5), dsc(5)): name, type, section, priority, options."""
    built = []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 4:
            continue
        options = dict(word.split("=", 1) for word in words[4:] if "=" in word)
        built.append(
            BuiltPackage(
                name=check_name(words[0]),
                kind=words[1],
                architectures=tuple(filter(None, options.get("arch", "").split(","))),
                profiles=tuple(filter(None, options.get("profile", "").split(","))),
            )
        )
    return tuple(built)


def _fields(stanza: bytes) -> Deb822:
    try:
        return Deb822(stanza.decode("utf-8"))
    except (UnicodeDecodeError, ValueError) as error:
        raise HostileInput(f"a paragraph of a package index is unreadable: {error}") from error


def _need(fields: Deb822, name: str) -> str:
    value = fields.get(name)
    if not value:
        raise HostileInput(
            f"a paragraph of a package index has no field {name} ({str(fields.get('Package', '?'))[:80]})"
        )
    return str(value)


def _location(text: str) -> str:
    if not _LOCATION.match(text) or any(part in {".", ".."} for part in text.split("/")):
        raise HostileInput(f"not a path inside an archive: {text[:120]!r}")
    return text


def _size(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise HostileInput(f"not a file size: {text[:40]!r}")
    return int(text)


def _digest(text: str) -> Digest:
    try:
        return Digest(text)
    except ValueError as error:
        raise HostileInput(str(error)) from error
