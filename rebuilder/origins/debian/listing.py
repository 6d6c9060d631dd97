"""What a Packages index says of each of its packages, as far as a catalogue needs it: seven fields of every paragraph.

A main suite lists 70,000 binary packages in 60 MB. A paragraph as archives write it (the fields in their usual order,
each named once, each of an allowed form) is one match of one expression, which never goes back over what it read.
Any other is taken apart field by field, under the rules of `stanza.parse_binary`: that reading alone decides what is
accepted and says what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rebuilder.errors import HostileInput
from rebuilder.origins.debian.index import IndexFile, windows
from rebuilder.origins.debian.stanza import ARCHITECTURE, check_name, check_version

Listed = tuple[str, str, str, str, str, str]
"""Source, its version, architecture; the file's plain name, size and SHA-256. All are checked, but for the last."""

_NEEDED = ("Package", "Version", "Architecture", "Filename", "Size", "SHA256")
_FIELDS = "|".join((*_NEEDED, "Source"))
_FIELD = re.compile(rf"\n({_FIELDS}): ([^\n]*)")
_FILE_NAME = re.compile(r"[A-Za-z0-9+._~:%@^=,-]{1,512}\Z")
_SOURCE = re.compile(r"(?P<name>[^ ]+)(?: \((?P<version>[^ ()]+)\))?\Z")
_SIZE = re.compile(r"[0-9]{1,15}\Z")

_NAME = "[a-z0-9][a-z0-9+.-]{1,254}+"
_VERSION = "(?:[0-9]{1,9}+:)?+[A-Za-z0-9][A-Za-z0-9.+~:-]{0,240}+"
_IN_NAMES = "[A-Za-z0-9+._~:%@^=,-]"
_OTHERS = rf"(?:[^\nAFPSV][^\n]*+\n|(?!(?:{_FIELDS}):)[^\n]++\n)*+"
"""Lines of other fields: those that begin with another letter, and those that begin as ours do and are not."""
_USUAL = re.compile(
    rf"\nPackage: ({_NAME})\n(?:Source: ({_NAME})(?: \(({_VERSION})\))?\n)?Version: ({_VERSION})\n"
    rf"{_OTHERS}Architecture: ([a-z0-9][a-z0-9-]*+)\n"
    rf"{_OTHERS}Filename: (?:{_IN_NAMES}++/)*+({_IN_NAMES}{{1,512}}+)\n"
    rf"{_OTHERS}Size: ([0-9]{{1,15}}+)\n"
    rf"{_OTHERS}SHA256: ([0-9a-f]{{64}}+)\n{_OTHERS}(?=\n)"
)


def listed(index: IndexFile) -> Iterator[Listed]:
    """Read every paragraph of a Packages index; raise HostileInput for what no honest index says."""
    for window in windows(index.path):
        text = window.decode("latin-1")  # each byte is a character: no field that is read may hold others than ASCII's
        at, end = 0, len(text) - 1
        while at < end:
            match = _USUAL.match(text, at)
            if match is not None:
                name, source, built_from, version, architecture, filename, size, digest = match.groups()
                yield source or name, built_from or version, architecture, filename, size, digest
                at = match.end()
            elif text.startswith("\n\n", at):
                at += 1
            else:
                after = text.index("\n\n", at)
                yield _by_field(text[at : after + 1])
                at = after + 1


def _by_field(stanza: str) -> Listed:
    name, version, architecture, location, size, sha256, source_field = _fields(stanza)
    if not ARCHITECTURE.match(architecture):
        raise HostileInput(f"not an architecture: {architecture[:80]!r}")
    check_name(name)
    check_version(version)
    source, built_from = _source(source_field, name, version)
    filename = location.rpartition("/")[2]
    if not _FILE_NAME.match(filename) or not _SIZE.match(size):
        raise HostileInput(f"{name} {version}: unreadable Filename or Size in a package index")
    return source, built_from, architecture, filename, size, sha256


def _source(text: str, name: str, version: str) -> tuple[str, str]:
    if not text:
        return name, version
    match = _SOURCE.match(text)
    if match is None:
        raise HostileInput(f"{name} {version}: unreadable Source field {text[:80]!r}")
    return check_name(match["name"]), check_version(match["version"] or version)


def _fields(stanza: str) -> list[str]:
    """Return the values of `_NEEDED` and Source, each of one line and named once; Source alone may be missing."""
    found = _FIELD.findall(stanza)
    values: dict[str, str] = dict(found)
    if len(values) != len(found):
        raise HostileInput(f"a paragraph of a package index names a field twice ({stanza[:60]!r})")
    lines = [values.get(name, "").strip(" ") for name in (*_NEEDED, "Source")]
    if not all(lines[:-1]):
        raise HostileInput(f"a paragraph of a package index has no field {_NEEDED[lines.index('')]} ({stanza[:60]!r})")
    strange = next((line for line in lines if not line.isascii()), None)
    if strange is not None:
        raise HostileInput(f"a paragraph of a package index is unreadable: {strange[:80]!r} is not ASCII")
    return lines
