"""Which archives carry a suite: from the settings, else from the machine's own apt configuration.

sources.list(5), both of its formats. Only entries that are Debian's own are candidates; whatever a candidate serves is
verified against the Debian archive keyring anyway.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import urlsplit

from debian.deb822 import Deb822

from rebuilder.config import Archive, DebianSettings
from rebuilder.errors import ConfigurationError
from rebuilder.world.files import read

APT_DIRECTORY = Path("/etc/apt")

_LISTS_LIMIT_BYTES = 1024**2
_FILE_NAME = re.compile(r"[A-Za-z0-9_.-]+\.(list|sources)\Z")
_ONE_LINE = re.compile(
    r"deb(?:-src)?\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s*(?P<components>.*)\Z"
)
_SCHEMES = frozenset({"http", "https", "file"})
_LONERS = frozenset({"sid", "unstable", "experimental", "rc-buggy"})
_SUFFIXES = ("-security", "-updates", "-proposed-updates", "-backports", "-backports-sloppy")
_SECURITY = "-security"
_ANY = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class SuitePart:
    """One suite of a family, and the mirrors that may have it."""

    suite: str
    label: str
    """Of the archive; all mirrors have it."""
    mirrors: tuple[Archive, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: tuple[str, ...]


def configured_archives(settings: DebianSettings, apt: Path = APT_DIRECTORY) -> tuple[Archive, ...]:
    """Return the archives to use; those with one label are mirrors of each other, tried in order.

    Raise ConfigurationError if there are none.
    """
    archives = settings.archives or _learn(apt)
    if not archives:
        raise ConfigurationError(
            "no Debian archive is configured: none in the settings, none in this machine's apt configuration",
            hint="name them in rebuilder.toml: [[debian.archives]] with label, uri and suites",
        )
    return archives


def archives_for(suite: str, settings: DebianSettings, apt: Path = APT_DIRECTORY) -> tuple[SuitePart, ...]:
    """Return the suite's family: itself first, then its updates and security suites where an archive may have them.

    sid, experimental and suites with a suffix stand alone. Raise ConfigurationError if no archive may have the suite.
    """
    archives = configured_archives(settings, apt)
    parts = tuple(part for name in family(suite) for part in _carriers(name, archives))
    if not parts or parts[0].suite != suite:
        raise ConfigurationError(
            f"no configured archive carries the suite {suite}",
            hint="add one that does to apt's sources or to rebuilder.toml",
        )
    return parts


def family(suite: str) -> tuple[str, ...]:
    """Name the suites that a user of one suite has configured, itself first."""
    if suite in _LONERS or suite.endswith(_SUFFIXES):
        return (suite,)
    return (suite, f"{suite}-updates", f"{suite}{_SECURITY}")


def mirrors_of(label: str, archives: Iterable[Archive]) -> tuple[str, ...]:
    """Return the base addresses of an archive's mirrors, in the order in which to try them."""
    return tuple(dict.fromkeys(archive.uri.rstrip("/") for archive in archives if archive.label == label))


def without_addresses(text: str, archives: Iterable[Archive]) -> str:
    """Name archives by their labels in a text that may be published: nobody's mirror is anybody's business."""
    for archive in sorted(archives, key=lambda each: len(each.uri), reverse=True):
        text = text.replace(archive.uri.rstrip("/"), archive.label)
    return text


def _carriers(suite: str, archives: tuple[Archive, ...]) -> Iterator[SuitePart]:
    """Find the archive for a suite: one that names it, or a pattern of it, before one that carries anything.

    `*` alone is no security suite: those are on an archive of their own.
    """
    named = [archive for archive in archives if any(p != _ANY and fnmatchcase(suite, p) for p in archive.suites)]
    catch_all = [archive for archive in archives if _ANY in archive.suites and not suite.endswith(_SECURITY)]
    carriers = named or catch_all
    if carriers:
        label = carriers[0].label
        yield SuitePart(suite=suite, label=label, mirrors=tuple(each for each in carriers if each.label == label))


def _learn(apt: Path) -> tuple[Archive, ...]:
    """Read Debian's archives off apt's sources; one entry's address serves the other suites of its archive as well."""
    learnt: dict[tuple[str, str], Archive] = {}
    for entry in _entries(apt):
        if not _is_candidate(entry):
            continue
        is_security = any(suite.endswith((_SECURITY, "/updates")) for suite in entry.suites)
        label = "debian-security" if is_security else "debian"
        suites = (f"{_ANY}{_SECURITY}",) if is_security else (_ANY,)
        archive = Archive(label=label, uri=entry.uri.rstrip("/"), suites=suites, components=entry.components)
        known = learnt.setdefault((label, archive.uri), archive)
        components = tuple(dict.fromkeys((*known.components, *archive.components)))
        learnt[label, archive.uri] = replace(known, components=components)
    return tuple(learnt.values())


def _is_candidate(entry: _Entry) -> bool:
    """Whether an entry is of Debian itself: by its keyring, or, where it names none, by its address and components."""
    if urlsplit(entry.uri).scheme not in _SCHEMES or any(suite.endswith(("-debug", "/")) for suite in entry.suites):
        return False
    if entry.signed_by:
        return all(Path(name).name.startswith("debian-archive-") for name in entry.signed_by)
    last = urlsplit(entry.uri).path.rstrip("/").rpartition("/")[2]
    return last in {"debian", "debian-security"} and "main" in entry.components


def _entries(apt: Path) -> Iterator[_Entry]:
    directory = apt / "sources.list.d"
    parts = sorted(path for path in directory.iterdir() if _FILE_NAME.match(path.name)) if directory.is_dir() else []
    for path in (apt / "sources.list", *parts):
        if not path.is_file():
            continue
        text = read(path, limit_bytes=_LISTS_LIMIT_BYTES).decode("utf-8", "replace")
        yield from _deb822_entries(text) if path.suffix == ".sources" else _one_line_entries(text)


def _deb822_entries(text: str) -> Iterator[_Entry]:
    for paragraph in Deb822.iter_paragraphs(text, use_apt_pkg=False):
        if paragraph.get("Enabled", "yes").strip().lower() in {"no", "false", "0", "off", "without", "disable"}:
            continue
        suites = tuple(paragraph.get("Suites", "").split())
        for uri in paragraph.get("URIs", "").split():
            yield _Entry(
                uri=uri,
                suites=suites,
                components=tuple(paragraph.get("Components", "").split()),
                signed_by=_signed_by(paragraph.get("Signed-By", "")),
            )


def _signed_by(value: str) -> tuple[str, ...]:
    """Read a Signed-By field: paths of keyrings, fingerprints, or a whole certificate, which is nobody we know."""
    if "-----BEGIN" in value:
        return ("embedded",)
    return tuple(word for word in re.split(r"[\s,]+", value) if word)


def _one_line_entries(text: str) -> Iterator[_Entry]:
    for line in text.splitlines():
        match = _ONE_LINE.match(line.partition("#")[0].strip())
        if match is None:
            continue
        options = dict(word.split("=", 1) for word in (match["options"] or "").split() if "=" in word)
        yield _Entry(
            uri=match["uri"],
            suites=(match["suite"],),
            components=tuple(match["components"].split()),
            signed_by=_signed_by(options.get("signed-by", "")),
        )
