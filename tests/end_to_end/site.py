"""The frozen archive that decides pass or fail: real packages below, samples on top, served on loopback."""

from __future__ import annotations

import hashlib
import lzma
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rebuilder.origins.debian.recipe import load_build_recipe, load_image_recipe
from rebuilder.world.files import locked
from tests.archive.frozen import FrozenArchive
from tests.archive.package import Made, Source, make, make_source
from tests.archive.server import Loopback
from tests.archive.snapshot import SnapshotArchive
from tests.end_to_end import samples
from tests.end_to_end.real import SUITE, real_debs
from tests.end_to_end.reference import Built, kept, key_of, make_reference
from tests.end_to_end.samples import Sample

MOMENT = "20251201T000000Z"
"""When the snapshot saw the older build-dependency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A frozen archive with its past, and what this machine keeps for it."""

    home: Path
    """Outlives the session."""
    archive: FrozenArchive
    snapshot: SnapshotArchive
    built: Mapping[str, Built]
    """References as they were built, by source name; the published ones may be spoiled."""

    @property
    def cache(self) -> Path:
        """Base image, downloads and prepared environments."""
        return self.home / "cache"

    def deb(self, name: str) -> Path:
        """Return a genuine .deb of a sample, by package name."""
        return next(path for built in self.built.values() for path in built.debs if path.name.startswith(f"{name}_"))


def make_site(home: Path, root: Path) -> Site:
    """Make the archive below `root` from what `home` keeps; build what it lacks. One session at a time does so."""
    with locked(home / "lock"):
        return _make_site(home, root)


def _make_site(home: Path, root: Path) -> Site:
    workshop = home / "workshop"
    archive = FrozenArchive(root / "archive")
    debs = real_debs(home.parent / "live")
    archive.add_debs(debs, SUITE)
    everything = {sample.source: _made(sample, workshop) for sample in (samples.DEPENDENCY, *samples.PUBLISHED)}
    _add_samples(archive, everything)
    made_with = [*sorted(path.name for path in debs), str(load_build_recipe().digest), str(load_image_recipe())]
    built = _build_missing(archive, everything, home, hashlib.sha256("\n".join(made_with).encode()).hexdigest())
    for name, references in built.items():
        _replace(archive, references.debs, name)
    snapshot = _move_on(archive, everything, root)
    spoil(archive, next(path for path in built["solid"].debs), root / "spoiled")
    now = datetime.now(UTC)
    archive.publish_all(date=now - timedelta(hours=1))
    return Site(home=home, archive=archive, snapshot=snapshot, built=built)


def _made(sample: Sample, workshop: Path) -> Made:
    """Make the source, and .debs of the usual contents that stand in for those not built yet."""
    source = sample.source
    place = f"{source.name}_{source.binnmu or source.upstream}"
    made = make_source(replace(source, binnmu=None), workshop / "sources" / place)
    usual = make(replace(source, rules=None), workshop / "usual" / place)
    return replace(made, source=source, debs=usual.debs)


def _add_samples(archive: FrozenArchive, everything: Mapping[Source, Made]) -> None:
    for source, made in everything.items():
        if source.binnmu or source == samples.DEPENDENCY_NEWER.source:
            continue
        archive.add(made, SUITE, signed=source.name == "pair")
    archive.add_debs(everything[samples.REBUILT_ONCE.source].debs, SUITE, source="rebuilt")
    for suite in ("trixie-updates", "trixie-security"):
        place = archive.suite(suite)
        place.binaries["main"], place.sources["main"] = [], []


def _build_missing(
    archive: FrozenArchive, everything: Mapping[Source, Made], home: Path, environment: str
) -> dict[str, Built]:
    wanted = {
        sample: home / "built" / key_of(everything[sample.source], sample, environment)
        for sample in samples.PUBLISHED
        if sample.is_built and sample not in (samples.REBUILT, samples.DEPENDENCY_NEWER)
    }
    found = {sample: kept(directory) for sample, directory in wanted.items()}
    missing = [sample for sample, built in found.items() if built is None]
    if missing:
        archive.publish_all(date=datetime.now(UTC) - timedelta(hours=2))
        with Loopback(archive.root) as server:
            settings = replace(archive.settings(home, address=server.address), state=home / "builder")
            found |= {sample: make_reference(sample, settings, wanted[sample]) for sample in missing}
    return {sample.source.name: built for sample, built in found.items() if built is not None}


def _replace(archive: FrozenArchive, debs: Iterable[Path], source: str) -> None:
    """Put other .debs in the place of listed ones of the same name and version."""
    paragraphs = archive.suite(SUITE).binaries["main"]
    for path in debs:
        paragraphs[:] = [text for text in paragraphs if f"/{path.name}\n" not in text]
    archive.add_debs((path for path in debs if "-dbgsym_" not in path.name), SUITE, source=source)


def _move_on(archive: FrozenArchive, everything: Mapping[Source, Made], root: Path) -> SnapshotArchive:
    """Keep the older build-dependency in a snapshot, and leave the mirror with the newer one alone."""
    older = everything[samples.DEPENDENCY.source]
    past = FrozenArchive(root / "past")
    past.key, past.developer = archive.key, archive.developer
    past.add(older, SUITE)
    past.publish_all(date=datetime(2025, 11, 30, 12, tzinfo=UTC))
    snapshot = SnapshotArchive(root / "snapshot")
    snapshot.keep(past, MOMENT)
    place = archive.suite(SUITE)
    for paragraphs in (place.binaries["main"], place.sources["main"]):
        paragraphs[:] = [text for text in paragraphs if not text.startswith("Package: libdep\n")]
    archive.remove("libdep_1.0-1_amd64.deb")
    archive.add(everything[samples.DEPENDENCY_NEWER.source], SUITE)
    return snapshot


def spoil(archive: FrozenArchive, genuine: Path, directory: Path) -> None:
    """Publish a .deb whose program differs in one byte; its md5sums still speak of the genuine one."""
    directory.mkdir()
    _replace(archive, (change_program(genuine, directory / genuine.name),), genuine.name.partition("_")[0])


def change_program(genuine: Path, target: Path) -> Path:
    """Write a copy of a .deb with one byte of what its program says changed, and nothing else: not even its md5sums."""
    members = list(_members(genuine.read_bytes()))
    changed = []
    for name, data in members:
        if name.startswith(b"data.tar.xz"):
            changed.append((name, _with_another_byte(data)))
        else:
            changed.append((name, data))
    assert changed != members
    target.write_bytes(
        b"!<arch>\n"
        + b"".join(name[:48] + b"%-10d" % len(data) + b"`\n" + data + b"\n" * (len(data) % 2) for name, data in changed)
    )
    return target


def _with_another_byte(packed: bytes) -> bytes:
    """Change what the program says in one byte, and pack as dpkg-deb does."""
    plain = lzma.decompress(packed)
    assert plain.count(b"good morning\0") == 1
    changed = plain.replace(b"good morning\0", b"good Morning\0")
    return subprocess.run(["xz", "-6", "-T2", "-c"], input=changed, capture_output=True, check=True).stdout


def _members(deb: bytes) -> Iterable[tuple[bytes, bytes]]:
    """Yield each ar member as (header, data)."""
    assert deb.startswith(b"!<arch>\n")
    offset = 8
    while offset < len(deb):
        header = deb[offset : offset + 60]
        size = int(header[48:58])
        yield header, deb[offset + 60 : offset + 60 + size]
        offset += 60 + size + size % 2
