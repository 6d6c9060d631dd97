"""Targets of the Debian archive: package URLs and their shorthand.

https://github.com/package-url/purl-spec, type `deb`. Shorthand: `deb:SUITE/SOURCE` and `deb:SUITE/SOURCE=VERSION`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from packageurl import PackageURL

from rebuilder.errors import HostileInput, UnknownTarget, UsageError
from rebuilder.origins.debian.stanza import ARCHITECTURE, check_name, check_version

SOURCE = "source"
"""The `arch` of a purl that names a source package."""

_SUITE = re.compile(r"[a-z][a-z0-9.-]{1,63}\Z")
_SHORTHAND = re.compile(r"deb:(?P<suite>[^/=]*)/(?P<name>[^/=]*)(?:=(?P<version>.*))?\Z", re.DOTALL)
_QUALIFIERS = frozenset({"arch", "distro"})
_LIMIT = 1024
_HINT = (
    "write deb:trixie/cjson, deb:trixie/cjson=1.7.18-3.1 or pkg:deb/debian/cjson@1.7.18-3.1?arch=source&distro=trixie"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianTarget:
    """What was asked of the Debian archive."""

    suite: str
    name: str
    """Of the source package, or of the binary package if `architecture` is not `source`."""
    version: str | None = None
    """None for the newest that a user of the suite is offered."""
    architecture: str = SOURCE

    @property
    def is_source(self) -> bool:
        """Whether a source package is named rather than one of its binary packages."""
        return self.architecture == SOURCE

    @property
    def purl(self) -> str:
        """The canonical package URL; `+` is written `%2B`."""
        return PackageURL(
            type="deb",
            namespace="debian",
            name=self.name,
            version=self.version,
            qualifiers={"arch": self.architecture, "distro": self.suite},
        ).to_string()


def is_debian(text: str) -> bool:
    """Whether a target is for this origin to read."""
    return text.startswith(("deb:", "pkg:deb/"))


def suite_named(text: str) -> str:
    """Read `deb:SUITE`; raise UsageError for anything else."""
    suite = text.removeprefix("deb:")
    if suite == text or not _SUITE.match(suite):
        raise UsageError(f"not a suite of Debian: {text[:120]!r}", hint="write deb:trixie or deb:trixie-security")
    return suite


def parse(text: str) -> DebianTarget:
    """Read a target; raise UsageError for one that is malformed, UnknownTarget for another distribution."""
    if len(text) > _LIMIT:
        raise UsageError(f"a target of {len(text)} characters; at most {_LIMIT} are read", hint=_HINT)
    try:
        return _parse_purl(text) if text.startswith("pkg:") else _parse_shorthand(text)
    except HostileInput as error:
        raise UsageError(f"{text[:120]!r}: {error}", hint=_HINT) from error


def _parse_shorthand(text: str) -> DebianTarget:
    match = _SHORTHAND.match(text)
    if match is None:
        raise UsageError(f"not a Debian target: {text[:120]!r}", hint=_HINT)
    return _checked(match["suite"], match["name"], match["version"], SOURCE)


def _parse_purl(text: str) -> DebianTarget:
    try:
        purl = PackageURL.from_string(text)
    except ValueError as error:
        raise UsageError(f"not a package URL: {text[:120]!r}", hint=_HINT) from error
    if purl.type != "deb" or purl.namespace != "debian":
        raise UnknownTarget(f"{text[:120]!r} is not a package of Debian", hint="only pkg:deb/debian/… is resolved here")
    qualifiers = dict(purl.qualifiers) if isinstance(purl.qualifiers, dict) else {}
    unknown = sorted(set(qualifiers) - _QUALIFIERS)
    if unknown or purl.subpath:
        raise UsageError(f"{text[:120]!r}: what should {', '.join(unknown) or 'the subpath'} mean?", hint=_HINT)
    suite = qualifiers.get("distro")
    if not suite:
        raise UsageError(
            f"{text[:120]!r} does not name a suite", hint="add the qualifier distro=, for instance distro=trixie"
        )
    return _checked(suite, purl.name, purl.version, qualifiers.get("arch", SOURCE))


def _checked(suite: str, name: str, version: str | None, architecture: str) -> DebianTarget:
    if not _SUITE.match(suite):
        raise UsageError(f"not the name of a suite: {suite[:80]!r}", hint=_HINT)
    if not ARCHITECTURE.match(architecture) or len(architecture) > 64:
        raise UsageError(
            f"not an architecture: {architecture[:80]!r}", hint="arch=source, or a binary package's architecture"
        )
    if version is not None:
        check_version(version)
    return DebianTarget(suite=suite, name=check_name(name), version=version, architecture=architecture)
