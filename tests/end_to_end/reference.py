"""The published .debs: each sample's own, built once in the environment of the frozen archive and kept.

What a test then proves is that a rebuild from the published documents finds the same bytes again, on another day, in
another session; that such bytes are those of Debian's own build daemons is what the live tests look at.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rebuilder.cli.world import open_world
from rebuilder.config import Settings
from rebuilder.model.verdict import Outcome
from rebuilder.origins.debian.origin import DebianOrigin
from rebuilder.origins.origin import Question
from rebuilder.progress import Silent
from rebuilder.stages.building import build
from tests.archive.package import Made
from tests.end_to_end.samples import Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What building a sample left."""

    debs: tuple[Path, ...]
    buildinfos: tuple[Path, ...]


def key_of(made: Made, sample: Sample, environment: str) -> str:
    """Name a build by what goes into it, besides the code."""
    digest = hashlib.sha256(made.dsc.read_bytes())
    digest.update(f"{sample}\n{environment}".encode())
    return f"{sample.source.name}-{digest.hexdigest()[:16]}"


def kept(directory: Path) -> Built | None:
    """Return what was built earlier."""
    if not (directory / "complete").is_file():
        return None
    return Built(debs=tuple(sorted(directory.glob("*.deb"))), buildinfos=tuple(sorted(directory.glob("*.buildinfo"))))


def make_reference(sample: Sample, settings: Settings, directory: Path) -> Built:
    """Build a sample that the archive of `settings` offers, as the pipeline would; keep what comes out."""
    world = open_world(settings, Silent())
    origin = DebianOrigin(settings, world.fetcher, world.blobs, world.progress)
    now = datetime.now(UTC)
    release = origin.resolve(Question(target=f"deb:trixie/{sample.source.name}"), now)
    origin.authenticate(release, now, download=True)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    for part in origin.parts(release):
        plan = origin.plan(part, world.engine(), now).plan
        if sample.factor is not None:
            plan = origin.vary(plan, sample.factor, part, now)
        rebuild = build(plan, origin, world, name=sample.source.name, fresh=False).rebuild
        log = world.blobs.get(rebuild.log).decode("utf-8", "replace")
        assert rebuild.outcome is Outcome.SUCCEEDED, f"{sample.source.name}: {rebuild.reason}\n{log}"
        for output in rebuild.outputs:
            shutil.copyfile(world.blobs.path(output.digest), directory / output.filename)
    (directory / "complete").touch()
    found = kept(directory)
    assert found is not None
    return found
