"""Where a part of a release is rebuilt: the environment that its .buildinfo names, or the suite's as it is now."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime

from rebuilder.build.container import Engine
from rebuilder.config import Settings
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.model.evidence import Evidence
from rebuilder.model.plan import Fidelity, ImageLock
from rebuilder.model.release import Release
from rebuilder.origins.debian import buildinfo as buildinfos
from rebuilder.origins.debian import exact
from rebuilder.origins.debian.base_images import BaseImages
from rebuilder.origins.debian.buildinfo import Buildinfo
from rebuilder.origins.debian.dependencies import Kind, Wish, build_dependencies
from rebuilder.origins.debian.image import settle
from rebuilder.origins.debian.plan import Place, built_version, is_usable_build_path
from rebuilder.origins.debian.recipe import BuildRecipe
from rebuilder.origins.debian.supply import Supply
from rebuilder.origins.debian.view import SuiteView
from rebuilder.progress import Progress
from rebuilder.store.blobs import LocalBlobs
from rebuilder.world.http import Fetcher


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A place, the lock of its base image, and what was found out on the way."""

    place: Place
    lock: ImageLock
    evidence: tuple[Evidence, ...] = ()
    changelog: str | None = None
    """A binNMU's changelog entry, where the .buildinfo has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surveyor:
    """Finds places, with one set of settings."""

    settings: Settings
    fetcher: Fetcher
    blobs: LocalBlobs
    progress: Progress
    images: BaseImages
    supply: Supply

    def find(self, part: Release, view: SuiteView, recipe: BuildRecipe, engine: Engine) -> Found:
        """Return where to build; the base image is in the engine afterwards.

        A .buildinfo is used when one was given that names this part's artifacts, or the configured pool has one. Raise
        SignatureRefused and DigestMismatch for one that policy or the release refuses, EnvironmentUnavailable and
        DependencyUnavailable when the environment cannot be made.
        """
        document = self._document(part)
        if document is None:
            return self._inferred(part, view, engine)
        return self._exact(part, view, recipe, engine, document)

    def judge(self, document: bytes, release: Release) -> Evidence:
        """Say what a .buildinfo's signature is worth; raise SignatureRefused where policy requires a better one."""
        keyrings = (*self.settings.debian.developer_keyrings, self.settings.debian.archive_keyring)
        return buildinfos.judge_signature(document, _name_of(release), keyrings, self.settings.policy)

    def _document(self, part: Release) -> bytes | None:
        if part.buildinfo is not None:
            given = self.blobs.get(part.buildinfo, limit_bytes=buildinfos.LIMIT_BYTES)
            return given if _names_any(buildinfos.parse(given, _NAME), part) else None
        pool = self.settings.debian.buildinfo_pool
        if pool is None:
            return None
        architecture = part.artifacts[0].architecture
        return buildinfos.find_in_pool(
            self.fetcher, pool, name=part.name, version=built_version(part), architecture=architecture
        )

    def _inferred(self, part: Release, view: SuiteView, engine: Engine) -> Found:
        lock = self.images.lock_chosen(view, engine, target=part.target)
        image = self.images.ensure(lock, engine, target=part.target)
        self.progress.phase(part.target, "plan", "build-dependencies, computed offline")
        dsc = next(source for source in part.sources if source.filename.endswith(".dsc"))
        wish = Wish(
            dsc=dsc.digest,
            path=self.blobs.path(dsc.digest),
            kind=Kind.of(part.artifacts[0].architecture),
            architecture=view.architecture,
        )
        packages = build_dependencies(engine, image, view.packages_files(), wish, answers=self.settings.answers_dir)
        place = Place(
            fidelity=Fidelity.INFERRED,
            reason=f"no .buildinfo was given: packages are those of {view.suite} as of {_date(view.date)}"
            + (f"; base image pulled, not bootstrapped: {lock.pulled.reference}" if lock.pulled else ""),
            architecture=view.architecture,
            image=image,
            lock=Digest.of(codec.render(lock)),
            packages=packages,
            jobs=self._jobs,
        )
        return Found(place=place, lock=lock)

    def _exact(self, part: Release, view: SuiteView, recipe: BuildRecipe, engine: Engine, document: bytes) -> Found:
        """Build where the .buildinfo says.

        1. Its signature is judged by policy. 2. It is about these very artifacts. 3. Every package is found at its
        version. 4. The image is made of them. 5. Its build path and variables are taken, as far as they are harmless.
        """
        name = _name_of(part)
        # 1. and 2.
        evidence = self.judge(document, part)
        parsed = buildinfos.parse(document, name)
        buildinfos.verify_subject(parsed, part, name)
        # 3.
        self.progress.phase(part.target, "plan", f"{len(parsed.installed)} packages of the .buildinfo")
        chosen = exact.exact_set(view, parsed, self.supply.snapshot)
        # 4.
        lock = settle(chosen.lock, self.images.locks())
        image = self.images.ensure(lock, engine, target=part.target)
        # 5.
        variables, ignored = buildinfos.honoured(parsed, recipe.honoured)
        path = parsed.build_path if parsed.build_path and is_usable_build_path(parsed.build_path) else None
        left_out = (f"; variables not taken over: {', '.join(ignored)}" if ignored else "") + (
            f"; its build path {parsed.build_path[:80]!r} cannot be used" if parsed.build_path and path is None else ""
        )
        place = Place(
            fidelity=Fidelity.EXACT,
            reason=exact.describe(chosen, name) + left_out,
            architecture=view.architecture,
            image=image,
            lock=Digest.of(codec.render(lock)),
            packages=chosen.packages,
            jobs=self._jobs,
            build_path=path,
            variables=variables,
        )
        self.blobs.put(document)
        pieces = (evidence, *chosen.evidence)
        return Found(place=place, lock=lock, evidence=pieces, changelog=parsed.changelog)

    @property
    def _jobs(self) -> int:
        return self.settings.jobs or os.cpu_count() or 1


_NAME = ".buildinfo"


def _name_of(release: Release) -> str:
    return f"{release.name}_{release.version}.buildinfo"


def _names_any(parsed: Buildinfo, part: Release) -> bool:
    claimed = {file.filename for file in parsed.files}
    return any(artifact.filename in claimed for artifact in part.artifacts)


def _date(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
