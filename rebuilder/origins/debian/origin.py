"""Debian as an origin: the pipeline's verbs, put together from this folder's modules."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from debian.debian_support import Version

from rebuilder.build.container import Engine
from rebuilder.config import Settings
from rebuilder.errors import UntrustedError
from rebuilder.model.digest import Digest
from rebuilder.model.plan import ImageLock, Package, Plan
from rebuilder.model.release import Release
from rebuilder.model.trust import Trust
from rebuilder.origins.debian import buildinfo, plan
from rebuilder.origins.debian.archive import DebianArchive
from rebuilder.origins.debian.base_images import BaseImages, load
from rebuilder.origins.debian.changelog import Reference, find_entry
from rebuilder.origins.debian.image import prewarmed_on, suite_to_build_in
from rebuilder.origins.debian.local import read_local, suite_of, with_local
from rebuilder.origins.debian.places import Surveyor
from rebuilder.origins.debian.recipe import load_build_recipe
from rebuilder.origins.debian.repository import flat_files
from rebuilder.origins.debian.supply import Supply
from rebuilder.origins.debian.vouch import verify_vouched
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
        self._supply = Supply(settings, fetcher, blobs, progress)
        self.images = BaseImages(settings, self._supply, blobs, progress)
        self._surveyor = Surveyor(
            settings=settings,
            fetcher=fetcher,
            blobs=blobs,
            progress=progress,
            images=self.images,
            supply=self._supply,
        )

    def resolve(self, question: Question, now: datetime) -> Release:
        """See Origin.resolve."""
        release = self._published(question, now)
        return release if question.provenance is None else self._with_buildinfo(release, question.provenance)

    def authenticate(self, release: Release, now: datetime, *, download: bool) -> Trust:
        """See Origin.authenticate. A .buildinfo that was given is judged as well."""
        trust = self.archive.authenticate(release, now, download=download)
        if release.buildinfo is None or not trust.accepted:
            return trust
        document = self._blobs.get(release.buildinfo, limit_bytes=buildinfo.LIMIT_BYTES)
        try:
            found = self._surveyor.judge(document, release)
        except UntrustedError as refusal:
            return replace(trust, accepted=False, reason=str(refusal), cause=refusal.cause)
        return replace(trust, evidence=(*trust.evidence, found))

    def parts(self, release: Release) -> tuple[Release, ...]:
        """See Origin.parts."""
        return plan.parts(release)

    def plan(self, part: Release, engine: Engine, now: datetime) -> Planned:
        """See Origin.plan.

        1. The place: base image and packages. 2. For a binNMU, the changelog entry that no source carries. 3. The plan.
        """
        view = self.archive.view(suite_to_build_in(part.suite), now)
        recipe = load_build_recipe()
        # 1.
        found = self._surveyor.find(part, view, recipe.build, engine)
        # 2.
        changelog = self._changelog(part, found.changelog)
        # 3.
        made = plan.make_plan(part, found.place, recipe, changelog=changelog, limits=self._settings.limits)
        return Planned(plan=made, lock=found.lock, evidence=found.evidence)

    def vary(self, base: Plan, factor: str, part: Release, now: datetime) -> Plan:
        """See Origin.vary. Another clock needs two more packages of the suite."""
        view = self.archive.view(suite_to_build_in(part.suite), now)
        offered = view.find_packages(plan.CLOCK_PACKAGES) if factor == plan.Factor.CLOCK else ()
        newest = {package.name: package for package in sorted(offered, key=lambda each: Version(each.version))}
        return plan.vary(base, factor, load_build_recipe(), clock_packages=tuple(newest.values()))

    def image(self, lock: ImageLock, engine: Engine, now: datetime) -> Digest:
        """See Origin.image."""
        self.vouch(lock, now)
        return self.images.ensure(lock, engine)

    def rootfs(self, lock: ImageLock) -> Digest:
        """See Origin.rootfs."""
        return self.images.rootfs(lock)

    def load(self, lock: ImageLock, rootfs: Path, engine: Engine, *, expected: Digest) -> None:
        """See Origin.load."""
        load(engine, lock, rootfs, expected=expected)

    def vouch(self, lock: ImageLock, now: datetime) -> None:
        """Raise UntrustedError for a lock from elsewhere that names packages which no signed index does."""
        if not self.images.has_made(lock):
            self.verify_named(lock, now)

    def verify_named(self, lock: ImageLock, now: datetime) -> None:
        """Raise UntrustedError unless signed indices name every package of a lock, whoever has made what of it."""
        verify_vouched(lock, self.archive.view(suite_to_build_in(lock.suite), now), self._supply.snapshot)

    def prewarmed(self, lock: ImageLock, now: datetime) -> tuple[Package, ...]:
        """See Origin.prewarmed."""
        return prewarmed_on(lock, self.archive.view(suite_to_build_in(lock.suite), now))

    def inputs(self, wanted: Plan) -> Mapping[str, Path]:
        """See Origin.inputs."""
        self.archive.downloader.fetch_all(wanted.sources, self._progress, wanted.name)
        return {source.filename: self._blobs.path(source.digest) for source in wanted.sources}

    def repository(self, packages: tuple[Package, ...]) -> Mapping[str, Path | bytes]:
        """See Origin.repository."""
        return flat_files(packages, self._supply.bring(packages, "build-dependencies"))

    def _published(self, question: Question, now: datetime) -> Release:
        if question.artifact is None:
            return self.archive.resolve(question.target, now)
        local = read_local(question.artifact)
        suite = suite_of(question.target, _own_suite())
        release = with_local(self.archive.resolve(local.target(suite).purl, now), local)
        self._blobs.put_file(question.artifact)
        return release

    def _with_buildinfo(self, release: Release, path: Path) -> Release:
        document = buildinfo.load(path)
        buildinfo.verify_subject(buildinfo.parse(document, path.name), release, path.name)
        return replace(release, buildinfo=self._blobs.put(document))

    def _changelog(self, part: Release, given: str | None) -> str | None:
        if not plan.binnmu_number(part):
            return None
        if given is not None:
            return given
        references = (
            Reference(
                package=artifact.name,
                architecture=artifact.architecture,
                path=self._blobs.path(artifact.reference.digest),
            )
            for artifact in part.artifacts
            if artifact.reference is not None
        )
        return find_entry(references, source=part.name, version=plan.built_version(part))


def _own_suite() -> str | None:
    """The suite of the machine itself, if it says."""
    try:
        return platform.freedesktop_os_release().get("VERSION_CODENAME")
    except OSError:
        return None
