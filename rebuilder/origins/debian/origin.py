"""Debian as an origin: the pipeline's verbs, put together from this folder's modules."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from rebuilder.build.container import Engine
from rebuilder.config import Settings
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.model.plan import Fidelity, ImageLock, Package, Plan
from rebuilder.model.release import Release
from rebuilder.model.trust import Trust
from rebuilder.origins.debian import plan as plans
from rebuilder.origins.debian.archive import DebianArchive
from rebuilder.origins.debian.base_images import BaseImages, paths_of
from rebuilder.origins.debian.changelog import Reference, find_entry
from rebuilder.origins.debian.dependencies import Kind, Wish, build_dependencies
from rebuilder.origins.debian.local import read_local, suite_of, with_local
from rebuilder.origins.debian.recipe import load_build_recipe
from rebuilder.origins.debian.repository import flat_files
from rebuilder.origins.origin import Planned, Question
from rebuilder.progress import Progress
from rebuilder.store.blobs import LocalBlobs
from rebuilder.world.http import Fetcher


class DebianOrigin:
    """See rebuilder.origins.origin.Origin."""

    def __init__(self, settings: Settings, fetcher: Fetcher, blobs: LocalBlobs, progress: Progress) -> None:
        self._settings = settings
        self._blobs = blobs
        self._progress = progress
        self.archive = DebianArchive(settings, fetcher, blobs, progress=progress)
        self.images = BaseImages(settings, self.archive.downloader, blobs, progress)

    def resolve(self, question: Question, now: datetime) -> Release:
        """See Origin.resolve."""
        if question.artifact is None:
            return self.archive.resolve(question.target, now)
        local = read_local(question.artifact)
        suite = suite_of(question.target, _own_suite())
        release = with_local(self.archive.resolve(local.target(suite).purl, now), local)
        self._blobs.put_file(question.artifact)
        return release

    def authenticate(self, release: Release, now: datetime, *, download: bool) -> Trust:
        """See Origin.authenticate."""
        return self.archive.authenticate(release, now, download=download)

    def parts(self, release: Release) -> tuple[Release, ...]:
        """See Origin.parts."""
        return plans.parts(release)

    def plan(self, part: Release, engine: Engine, now: datetime) -> Planned:
        """See Origin.plan.

        1. The base image of the suite as it is now. 2. The build-dependencies on top, as the suite's apt chooses them.
        3. For a binNMU, the changelog entry that only its .debs carry. 4. The plan.
        """
        view = self.archive.view(part.suite, now)
        # 1.
        lock = self.images.lock(view, target=part.target)
        image = self.image(lock, engine)
        # 2.
        self._progress.phase(part.target, "plan", "build-dependencies, computed offline")
        dsc = next(source for source in part.sources if source.filename.endswith(".dsc"))
        wish = Wish(
            dsc=dsc.digest,
            path=self._blobs.path(dsc.digest),
            kind=Kind.of(part.artifacts[0].architecture),
            architecture=view.architecture,
        )
        packages = build_dependencies(engine, image, view.packages_files(), wish, cache=self._settings.cache)
        place = plans.Place(
            fidelity=Fidelity.INFERRED,
            reason=f"no .buildinfo was given: the packages are those of {view.suite} at {view.date:%Y-%m-%d %H:%M} UTC",
            architecture=view.architecture,
            image=image,
            lock=Digest.of(codec.render(lock)),
            packages=packages,
            jobs=self._settings.jobs or os.cpu_count() or 1,
        )
        # 3. and 4.
        plan = plans.make_plan(
            part, place, load_build_recipe(), changelog=self._changelog(part), limits=self._settings.limits
        )
        return Planned(plan=plan, lock=lock)

    def image(self, lock: ImageLock, engine: Engine) -> Digest:
        """See Origin.image."""
        return self.images.ensure(lock, engine)

    def inputs(self, plan: Plan) -> Mapping[str, Path]:
        """See Origin.inputs."""
        self.archive.downloader.fetch_all(plan.sources, self._progress, plan.name)
        return {source.filename: self._blobs.path(source.digest) for source in plan.sources}

    def repository(self, packages: tuple[Package, ...]) -> Mapping[str, Path | bytes]:
        """See Origin.repository."""
        self.archive.downloader.fetch_all(packages, self._progress, "build-dependencies")
        return flat_files(packages, paths_of(packages, self._blobs))

    def _changelog(self, part: Release) -> str | None:
        if not plans.binnmu_number(part):
            return None
        references = (
            Reference(
                package=artifact.name,
                architecture=artifact.architecture,
                path=self._blobs.path(artifact.reference.digest),
            )
            for artifact in part.artifacts
            if artifact.reference is not None
        )
        return find_entry(references, source=part.name, version=plans.built_version(part))


def _own_suite() -> str | None:
    """The suite of the machine itself, if it says."""
    try:
        return platform.freedesktop_os_release().get("VERSION_CODENAME")
    except OSError:
        return None
