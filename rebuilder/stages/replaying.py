"""replay: run a published plan again, from its document alone, and compare what comes out with both digests in it.

1. The documents agree with each other: the lock is the plan's, the plan is the rebuild's.
2. The plan asks for no more than this machine's limits allow, for its document may be a stranger's.
3. Signed indices name every package of the published lock, for a bootstrap runs their scripts; the base image is made
   from it, and has the id that the plan names.
4. The build runs in an environment prepared from the base for this run alone.
5. Every output is compared with the published reference, as when it was published.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from rebuilder.errors import ConfigurationError, EnvironmentUnavailable, HostileInput, UsageError
from rebuilder.model.codec import DOCUMENT_LIMIT_BYTES, parse, render
from rebuilder.model.comparison import Comparison
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.plan import ImageLock, Limits, Plan
from rebuilder.model.rebuild import Rebuild
from rebuilder.model.release import Release
from rebuilder.origins.registry import origin_of
from rebuilder.stages.building import build
from rebuilder.stages.comparing import compare
from rebuilder.stages.world import World
from rebuilder.world.files import digest_of, read


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What running a published plan again gave."""

    dossier: Dossier
    """The published one."""
    rebuild: Rebuild
    comparison: Comparison
    """Of this run with the published references."""

    @property
    def changed(self) -> tuple[str, ...]:
        """File names of outputs that are not, bit for bit, what the published rebuild made."""
        published = {each.filename: each.rebuilt for each in self.dossier.comparison.artifacts}
        made = {output.filename: output.digest for output in self.rebuild.outputs}
        return tuple(
            name
            for name, rebuilt in sorted(published.items())
            if (rebuilt.digest if rebuilt is not None else None) != made.get(name)
        )


def replay(directory: Path, world: World) -> Replayed:
    """Run the plan of a result again; nothing is published. Raise what the stages raise.

    The published signatures are not looked at: that is `rebuilder check`. What is trusted here is this machine's run.
    """
    dossier = parse(read(directory / "dossier.json", limit_bytes=DOCUMENT_LIMIT_BYTES), Dossier)
    # 1.
    plan, lock = _planned(dossier)
    # 2.
    _verify_limits(plan.limits, world.settings.limits)
    # 3.
    origin = origin_of(dossier.release.ecosystem, world.settings, world.fetcher, world.blobs, world.progress)
    name = dossier.release.target
    world.progress.phase(name, "image", "base image from the published lock")
    image = origin.image(lock, world.engine(), world.now())
    if image != plan.environment.image:
        raise EnvironmentUnavailable(
            f"the published lock gives base image {image.short} here; the plan names {plan.environment.image.short}",
            hint="another version of the bootstrap program may write other bytes: see `rebuilder image verify`",
        )
    # 4.
    run = build(plan, origin, world, name=name, fresh=True)
    # 5.
    _bring_references(dossier.release, directory, world)
    comparison = compare(dossier.release, run.rebuild, world, name=name)
    return Replayed(dossier=dossier, rebuild=run.rebuild, comparison=comparison)


def _planned(dossier: Dossier) -> tuple[Plan, ImageLock]:
    plan, lock = dossier.plan, dossier.lock
    if plan is None or lock is None:
        raise UsageError(
            "nothing was planned in this result, so there is nothing to run again", hint="`rebuilder verify` its target"
        )
    if Digest.of(render(lock)) != plan.environment.lock:
        raise HostileInput("the published lock is not the one that the plan names")
    if dossier.rebuild is not None and dossier.rebuild.plan != Digest.of(render(plan)):
        raise HostileInput("the published rebuild is not of the published plan")
    return plan, lock


def _verify_limits(asked: Limits, allowed: Limits) -> None:
    for field in fields(Limits):
        wanted, most = getattr(asked, field.name), getattr(allowed, field.name)
        if wanted > most:
            raise ConfigurationError(
                f"the plan asks for {field.name} {wanted}; the limits here allow {most}",
                hint=f"raise limits.{field.name.removesuffix('_bytes').removesuffix('_s')} if you want to run it",
            )


def _bring_references(release: Release, directory: Path, world: World) -> None:
    """Take references that lie beside the result: their digests are in the dossier."""
    for artifact in release.artifacts:
        if artifact.reference is None or world.blobs.has(artifact.reference.digest):
            continue
        path = directory / "artifacts" / "reference" / artifact.reference.filename
        if path.is_file() and digest_of(path) == artifact.reference.digest:
            world.blobs.put_file(path)
