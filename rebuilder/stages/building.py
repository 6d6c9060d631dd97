"""rebuild: one run of a plan, signed by this machine's builder key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rebuilder.attest.builder import sign_rebuild
from rebuilder.attest.keys import Role
from rebuilder.attest.keystore import key_uri
from rebuilder.attest.signing import open_signer
from rebuilder.build.cache import PreparedIndex
from rebuilder.build.prepare import prepare
from rebuilder.build.run import Runner, Ticket
from rebuilder.model.plan import Package, Plan
from rebuilder.origins.origin import Origin
from rebuilder.stages.attempt import Run
from rebuilder.stages.keys import builder_key
from rebuilder.stages.ordinals import next_ordinal
from rebuilder.stages.world import World


def build(plan: Plan, origin: Origin, world: World, *, name: str, fresh: bool) -> Run:
    """Run a plan once more than this builder has; `fresh` prepares the environment from the base, for this run alone.

    1. Inputs are brought here, each verified. 2. The environment is prepared, or found. 3. The build runs.
    4. The builder signs what it saw.
    """
    engine = world.engine()
    if weaknesses := engine.describe().unenforced:
        message = f"this engine does not enforce limits of {', '.join(weaknesses)}: `rebuilder doctor` says more"
        world.progress.note(name, message)
    index = PreparedIndex(world.settings.prepared_dir, engine)
    key = builder_key(world)
    # 1.
    world.progress.phase(name, "fetch", f"{len(plan.sources)} source files")
    inputs = origin.inputs(plan)

    def repository(packages: tuple[Package, ...]) -> Mapping[str, Path | bytes]:
        world.progress.phase(name, "environment", f"fetching {len(packages)} packages")
        files = origin.repository(packages)
        world.progress.phase(name, "environment", f"installing {len(packages)} packages offline")
        return files

    # 2.
    with prepare(engine, index, plan.environment, repository, fresh=fresh) as prepared:
        # 3.
        how = "cached environment" if prepared.cached else "fresh environment"
        world.progress.phase(name, "build", f"{plan.name} {plan.version} {plan.architecture}, {how}")
        ticket = Ticket(builder=key.keyid, ordinal=next_ordinal(plan, world), target=name, progress=world.progress)
        rebuild = Runner(engine=engine, blobs=world.blobs).run(plan, prepared, inputs, ticket)
    world.ledger.record_rebuild(rebuild)
    # 4.
    signer = open_signer(key_uri(world.settings.state, Role.BUILDER))
    return Run(rebuild=rebuild, record=sign_rebuild(rebuild, signer))
