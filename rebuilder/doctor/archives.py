"""The archives that releases would come from; asked only when the person wants that."""

from __future__ import annotations

from pathlib import Path

from rebuilder.config import Archive, DebianSettings
from rebuilder.doctor.finding import Condition, Finding
from rebuilder.errors import RebuilderError
from rebuilder.origins.debian.mirrors import APT_DIRECTORY, configured_archives
from rebuilder.world.http import Fetcher

_PURPOSE = "releases, sources and build-dependencies come from there"
_LIMIT_BYTES = 16 * 1024**2
_NAME_THEM = "name them in rebuilder.toml: [[debian.archives]] with label, uri and suites"


def examine_archives(
    settings: DebianSettings, fetcher: Fetcher | None, apt: Path = APT_DIRECTORY
) -> tuple[Finding, ...]:
    """Say which archives are configured; with a fetcher, also ask each for a signed index."""
    try:
        archives = configured_archives(settings, apt)
    except RebuilderError as error:
        return (
            Finding(
                name="mirrors",
                condition=Condition.MISSING,
                found=str(error),
                purpose=_PURPOSE,
                remedy=error.hint or _NAME_THEM,
            ),
        )
    labels = ", ".join(dict.fromkeys(archive.label for archive in archives))
    origin = "the settings" if settings.archives else "apt's configuration"
    found = f"{labels}: {len(archives)} from {origin}"
    configured = Finding(name="mirrors", condition=Condition.OK, found=found, purpose=_PURPOSE)
    probes = () if fetcher is None else tuple(_probe(archive, fetcher) for archive in archives)
    return (configured, *probes)


def _probe(archive: Archive, fetcher: Fetcher) -> Finding:
    suite = probed_suite(archive)
    name = f"mirror: {archive.label}"
    try:
        index = fetcher.get(f"{archive.uri.rstrip('/')}/dists/{suite}/InRelease", limit_bytes=_LIMIT_BYTES)
    except RebuilderError as error:
        return Finding(
            name=name, condition=Condition.MISSING, found=str(error), purpose=_PURPOSE, remedy=error.hint or _NAME_THEM
        )
    return Finding(name=name, condition=Condition.OK, found=f"answers: {suite}, {len(index)} bytes", purpose=_PURPOSE)


def probed_suite(archive: Archive) -> str:
    """Choose a suite that the archive must have: the first that it names, `stable` in place of a pattern."""
    return archive.suites[0].replace("*", "stable") if archive.suites else "stable"
