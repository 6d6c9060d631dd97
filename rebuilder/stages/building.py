"""rebuild: one run of a plan, signed by this machine's builder key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rebuilder.attest.builder import sign_rebuild
from rebuilder.attest.keys import Role
from rebuilder.attest.keystore import key_uri
from rebuilder.attest.signing import open_signer
from rebuilder.build.cache import PreparedIndex
from rebuilder.build.prepare import prepare
from rebuilder.build.run import Runner, Ticket
from rebuilder.model.plan import Package, Plan
from rebuilder.model.rebuild import Rebuild
from rebuilder.origins.origin import Origin
from rebuilder.stages.attempt import Run
from rebuilder.stages.keys import builder_key
from rebuilder.stages.ordinals import next_ordinal
from rebuilder.stages.world import Workplace, World


class Files(Protocol):
    """Gives what a build reads; every origin does."""

    def inputs(self, plan: Plan) -> Mapping[str, Path]:
        """See Origin.inputs."""

    def repository(self, packages: tuple[Package, ...]) -> Mapping[str, Path | bytes]:
        """See Origin.repository."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Who runs a plan, which time, and how."""

    builder: str
    """Key id of the builder key."""
    ordinal: Callable[[], int]
    """Asked for when the environment is ready: a run that never began has no number."""
    name: str
    """How progress names the target."""
    fresh: bool
    """Prepare the environment from the base, for this run alone."""


def build(plan: Plan, origin: Origin, world: World, *, name: str, fresh: bool) -> Run:
    """Run a plan once more than this builder has, record that and sign it."""
    key = builder_key(world)
    turn = Turn(builder=key.keyid, ordinal=lambda: next_ordinal(plan, world), name=name, fresh=fresh)
    rebuild = run(plan, origin, world, turn)
    world.ledger.record_rebuild(rebuild)
    signer = open_signer(key_uri(world.settings.state, Role.BUILDER))
    return Run(rebuild=rebuild, record=sign_rebuild(rebuild, signer))


def run(plan: Plan, files: Files, place: Workplace, turn: Turn) -> Rebuild:
    """Run a plan once; nothing is recorded or signed.

    1. Inputs are brought here, each verified. 2. The environment is prepared, or found. 3. The build runs.
    """
    name, progress = turn.name, place.progress
    engine = place.engine()
    if weaknesses := engine.describe().unenforced:
        message = f"this engine does not enforce limits of {', '.join(weaknesses)}: `rebuilder doctor` says more"
        progress.note(name, message)
    index = PreparedIndex(place.settings.prepared_dir, engine)
    # 1.
    progress.phase(name, "fetch", f"{len(plan.sources)} source files")
    inputs = files.inputs(plan)

    def repository(packages: tuple[Package, ...]) -> Mapping[str, Path | bytes]:
        progress.phase(name, "environment", f"fetching {len(packages)} packages")
        found = files.repository(packages)
        progress.phase(name, "environment", f"installing {len(packages)} packages offline")
        return found

    # 2.
    with prepare(engine, index, plan.environment, repository, fresh=turn.fresh) as prepared:
        # 3.
        how = "cached environment" if prepared.cached else "fresh environment"
        progress.phase(name, "build", f"{plan.name} {plan.version} {plan.architecture}, {how}")
        ticket = Ticket(builder=turn.builder, ordinal=turn.ordinal(), target=name, progress=progress)
        return Runner(engine=engine, blobs=place.blobs).run(plan, prepared, inputs, ticket)
