"""`rebuilder replay`: run a published rebuild again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rebuilder.cli import options
from rebuilder.cli.output import one_line, say, say_json
from rebuilder.cli.paths import is_result
from rebuilder.errors import UnknownTarget

if TYPE_CHECKING:
    from rebuilder.stages.replaying import Replayed


@options.verb(
    "replay",
    """
rebuilder replay results/deb/cjson/…/RUN          run it again, here, from its documents
rebuilder replay RUN --json | jq .same_as_published
""",
)
@click.argument("result", type=click.Path(path_type=Path))
@options.config_option
@options.quiet_option
@options.json_option
def command(result: Path, config: Path | None, *, quiet: bool, as_json: bool) -> int:
    """Run the plan published in the directory RESULT again, and compare with the published references.

    The base image is made from the published lock, the environment from the base, everything by digest; nothing is
    published. Signatures are not looked at (that is `rebuilder check`): the answer is this machine's own. The exit code
    is that of the verdict of this run.
    """
    from rebuilder.cli import progress, world  # noqa: PLC0415 - a wrong option is answered before this is loaded
    from rebuilder.cli.rechecking import load_dossier, load_withdrawal  # noqa: PLC0415
    from rebuilder.cli.withdrawn import withdrawn_object  # noqa: PLC0415
    from rebuilder.cli.words import exit_code  # noqa: PLC0415
    from rebuilder.model.cause import in_reporting_order  # noqa: PLC0415
    from rebuilder.model.verdict import worst  # noqa: PLC0415
    from rebuilder.stages import tidying  # noqa: PLC0415
    from rebuilder.stages.replaying import replay  # noqa: PLC0415

    directory = result.parent if result.name in {"index.html", "dossier.json", "plan.json"} else result
    if not is_result(directory):
        raise UnknownTarget(
            f"{one_line(str(result))}: no result: it holds no dossier.json", hint="name the directory of one run"
        )
    settings = options.settings_from(config)
    withdrawal = load_withdrawal(directory, load_dossier(directory))
    with progress.for_stderr(sys.stderr, quiet=quiet) as shown:
        machine = world.open_world(settings, shown)
        with tidying.in_use(settings):
            replayed = replay(directory, machine)
        shown.finish(replayed.dossier.release.target)
    artifacts = replayed.comparison.artifacts
    verdict = worst(each.verdict for each in artifacts)
    causes = in_reporting_order({cause for each in artifacts for cause in each.causes})
    if as_json:
        told = withdrawn_object(withdrawal, replayed.dossier)
        say_json({"verdict": verdict, "causes": list(causes), **_object(replayed), "withdrawn": told})
    else:
        _print(replayed, verdict, withdrawn=withdrawal is not None)
    return exit_code(verdict, causes, accept_equivalent=settings.policy.accept_equivalent)


def _object(replayed: Replayed) -> dict[str, Any]:
    from rebuilder.cli.answer import artifact_object  # noqa: PLC0415 - not for text

    return {
        "target": replayed.dossier.release.target,
        "plan": replayed.rebuild.plan.hex,
        "outcome": replayed.rebuild.outcome,
        "published_verdict": replayed.dossier.verdict,
        "same_as_published": not replayed.changed,
        "changed": list(replayed.changed),
        "artifacts": [artifact_object(each) for each in replayed.comparison.artifacts],
    }


def _print(replayed: Replayed, verdict: str, *, withdrawn: bool) -> None:
    from rebuilder.cli.table import console_for, print_artifacts  # noqa: PLC0415 - not for JSON

    published = f"{replayed.dossier.verdict}{', then withdrawn' if withdrawn else ''}"
    say(f"{verdict}  {replayed.dossier.release.target}  (published: {published})")
    print_artifacts(replayed.comparison.artifacts, console_for(sys.stdout))
    if replayed.changed:
        say(f"  other bytes than the published rebuild made: {', '.join(replayed.changed)}")
    else:
        say("  every output is bit for bit what the published rebuild made")
