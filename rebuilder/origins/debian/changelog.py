"""The changelog entry that a buildd put on top of debian/changelog before a binary-only rebuild (binNMU).

It is in no source package. debhelper installs it as `usr/share/doc/<package>/changelog.Debian.<architecture>.gz`
(dh_installchangelogs(1), "binary-only=yes"); its text and date enter the build, so it is taken from a reference .deb,
whose digest the signed index names. Format: deb-changelog(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rebuilder.compare.readers.deb import read_deb_member
from rebuilder.errors import HostileInput, SourceUnavailable

_LIMIT_BYTES = 1024**2
_ENTRY_LIMIT = 32 * 1024
_HEADING = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9+.-]+) \((?P<version>[^ ()\n]+)\)(?: [a-zA-Z0-9.+-]+)+;(?P<options>[^\n]*)"
)
_TRAILER = re.compile(r"^ -- [^\n]*<[^\n<>]*>  [^\n]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A published .deb of the binNMU, downloaded and verified."""

    package: str
    architecture: str
    path: Path


def find_entry(references: Iterable[Reference], *, source: str, version: str) -> str:
    """Return the entry of `version` (with its +bN), as it goes on top of debian/changelog.

    Not every package has the file (a link to another's documentation directory): the references are tried in order.
    Raise SourceUnavailable when none has it; that a file is there and says something else counts as not having it.
    """
    problems = []
    for reference in references:
        suffix = f"/usr/share/doc/{reference.package}/changelog.Debian.{reference.architecture}.gz"
        try:
            _, content = read_deb_member(reference.path, suffix, limit_bytes=_LIMIT_BYTES)
            return parse_entry(content, source=source, version=version)
        except HostileInput as problem:
            problems.append(str(problem))
    raise SourceUnavailable(
        f"{source} {version}: no reference has the changelog entry of this binary-only rebuild: "
        f"{problems[0] if problems else 'there is no reference'}",
        hint="without the entry the build cannot carry the same version and date",
    )


def parse_entry(content: bytes, *, source: str, version: str) -> str:
    """Return the first entry of a changelog, with one empty line after it; raise HostileInput unless it is the one."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise HostileInput("a changelog that is not UTF-8") from error
    heading, trailer = _HEADING.match(text), _TRAILER.search(text)
    if heading is None or trailer is None or trailer.end() > _ENTRY_LIMIT:
        raise HostileInput("not a changelog entry (deb-changelog(5))")
    found = f"{heading['name']} {heading['version']}"
    if (heading["name"], heading["version"]) != (source, version):
        raise HostileInput(f"expected the changelog entry of {source} {version}, found {found}")
    if "binary-only=yes" not in heading["options"].replace(" ", "").split(","):
        raise HostileInput(f"the changelog entry of {found} is not one of a binary-only rebuild")
    return text[: trailer.end()] + "\n\n"
