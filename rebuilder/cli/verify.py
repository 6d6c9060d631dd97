"""`rebuilder verify`: the product in one command."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rebuilder.cli import options
from rebuilder.cli.output import complain, one_line, say_json
from rebuilder.cli.paths import regular_file
from rebuilder.cli.words import gravest
from rebuilder.config import Settings
from rebuilder.errors import RebuilderError, UsageError

if TYPE_CHECKING:
    from rebuilder.cli.progress import ShownProgress
    from rebuilder.pipeline import Request, TargetResult, World

FACTORS = ("clock", "path", "locale")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The options of one `verify`, as they were given."""

    provenance: Path | None
    suite: str | None
    dry_run: bool
    vary: str | None
    no_control: bool
    fresh: bool
    jobs: int | None
    results: Path | None
    config: Path | None
    quiet: bool
    as_json: bool


_EXAMPLES = """
rebuilder verify deb:trixie/cjson                       the newest version that trixie offers
rebuilder verify deb:trixie/cjson=1.7.18-3.1            one version
rebuilder verify deb:trixie-security/openssl            what the security suite alone has
rebuilder verify 'pkg:deb/debian/cjson?arch=source&distro=trixie'
rebuilder verify ./cjson_1.7.18-3_amd64.deb --suite trixie --provenance cjson.buildinfo
rebuilder verify deb:trixie/cjson --dry-run             authenticate and resolve, build nothing
rebuilder verify deb:trixie/lcms2 --json | jq .verdict
"""


@options.verb("verify", _EXAMPLES)
@click.argument("targets", nargs=-1, required=True, metavar="TARGET...")
@click.option(
    "--provenance", type=click.Path(path_type=Path), metavar="FILE", help="A .buildinfo that says how TARGET was built."
)
@click.option("--suite", metavar="NAME", help="The suite to look in, for a local artifact or a target without one.")
@click.option("--dry-run", is_flag=True, help="Authenticate and resolve; build and publish nothing.")
@click.option(
    "--vary",
    metavar="FACTORS",
    help=f"Also rebuild with another {', '.join(FACTORS)} (comma-separated), to name causes.",
)
@click.option("--no-control", is_flag=True, help="Do not rebuild once more after a difference.")
@click.option("--fresh", is_flag=True, help="Prepare the environment anew instead of taking it from the cache.")
@click.option(
    "-j", "--jobs", type=click.IntRange(min=1), help="Parallel jobs given to a build (default: all processors)."
)
@options.results_option
@options.config_option
@options.quiet_option
@options.json_option
def command(targets: tuple[str, ...], **chosen: object) -> int:
    """Rebuild each TARGET from its authenticated source and say whether it is what was published.

    A TARGET is a package URL, its shorthand (deb:SUITE/SOURCE, with =VERSION to pin one), or the path of a local
    artifact. The verdict is `reproduced` (bit for bit), `equivalent` (once named stabilizers are applied), `different`
    or `undecided`, and is published with its evidence, signed, under the results directory.
    """
    wanted = Wanted(**chosen)  # type: ignore[arg-type]  # click has parsed each by its type
    settings = options.settings_from(wanted.config, results=wanted.results, jobs=wanted.jobs)
    if wanted.dry_run and wanted.vary is not None:
        raise UsageError("--vary builds once more, and --dry-run builds nothing", hint="leave one of the two out")
    requests = [_request(target, wanted, settings) for target in targets]
    if wanted.provenance is not None and len(requests) > 1:
        raise UsageError("--provenance speaks about one target", hint="verify the others in another command")
    from rebuilder.cli import progress, world  # noqa: PLC0415 - a wrong option is answered before this is loaded
    from rebuilder.stages import tidying  # noqa: PLC0415

    if not wanted.dry_run:
        world.verify_writable(settings.results)
    with progress.for_stderr(sys.stderr, quiet=wanted.quiet) as shown:
        machine = world.open_world(settings, shown)
        with tidying.in_use(settings):
            codes = [_one(request, machine, shown, as_json=wanted.as_json) for request in requests]
        if not wanted.dry_run:
            tidying.tidy(machine)
    return gravest(codes)


def _one(request: Request, machine: World, shown: ShownProgress, *, as_json: bool) -> int:
    """Answer one target, print the answer at once, return its exit code."""
    from rebuilder import pipeline  # noqa: PLC0415 - as above
    from rebuilder.cli import answer  # noqa: PLC0415

    result = pipeline.verify(request, machine)
    shown.finish(request.question.name)
    _print(result, as_json=as_json)
    if sys.stderr.isatty():
        _prewarm(result, machine, shown)
    return answer.code_of(result, accept_equivalent=machine.settings.policy.accept_equivalent)


def _prewarm(result: TargetResult, machine: World, shown: ShownProgress) -> None:
    """Use the moment after the answer, where a person reads it: the next build on this image starts sooner.

    That it fails is no news, and an interrupt ends this, not the answer. A script is not kept waiting.
    """
    from rebuilder.stages.warming import warm_after  # noqa: PLC0415 - as above

    for dossier in result.dossiers[:1]:
        with suppress(RebuilderError, KeyboardInterrupt):
            if warm_after(dossier, machine):
                shown.finish(result.target)


def _print(result: TargetResult, *, as_json: bool) -> None:
    if as_json:
        from rebuilder.cli.answer import to_object  # noqa: PLC0415 - one of the two is needed

        say_json(to_object(result))
        sys.stdout.flush()
        if result.error is not None:
            complain(f"{one_line(result.target)}: {result.error}", result.error.hint)
        return
    if result.error is not None and not result.dossiers:
        complain(f"{one_line(result.target)}: {result.error}", result.error.hint)
        return
    from rebuilder.cli.table import console_for, print_result  # noqa: PLC0415 - as above

    print_result(result, console_for(sys.stdout))


def _request(target: str, wanted: Wanted, settings: Settings) -> Request:
    artifact = _local_artifact(target)
    named = _with_suite("" if artifact else target, wanted.suite)
    provenance = _file(wanted.provenance) if wanted.provenance else None
    factors = _factors(wanted.vary)
    from rebuilder.origins.origin import Question  # noqa: PLC0415 - a wrong option is answered before this is loaded
    from rebuilder.pipeline import Request  # noqa: PLC0415

    question = Question(target=named, artifact=artifact, provenance=provenance)
    return Request(
        question=question,
        dry_run=wanted.dry_run,
        fresh=wanted.fresh,
        vary=factors,
        control=settings.policy.control_rebuild and not wanted.no_control,
    )


def _local_artifact(target: str) -> Path | None:
    """Recognize a target that is a path: it ends like an artifact, or begins like a path."""
    if target.startswith(("pkg:", "deb:")):
        return None
    looks_like_one = target.endswith(".deb") or target.startswith(("./", "../", "/", "~/"))
    return _file(Path(target).expanduser()) if looks_like_one else None


def _file(path: Path) -> Path:
    return regular_file(path, "name a file that is here, or a package: deb:trixie/cjson")


def _with_suite(target: str, suite: str | None) -> str:
    """Put the suite of `--suite` into a target that names none."""
    if suite is None:
        return target
    if not target:
        return f"deb:{suite}/"
    name = target.removeprefix("deb:")
    if "/" in name or target.startswith("pkg:"):
        raise UsageError(
            f"{one_line(target)} names its suite itself, and --suite names {suite}", hint="leave one of them out"
        )
    return f"deb:{suite}/{name}"


def _factors(text: str | None) -> tuple[str, ...]:
    factors = tuple(dict.fromkeys(part.strip() for part in (text or "").split(",") if part.strip()))
    unknown = [factor for factor in factors if factor not in FACTORS]
    if unknown or (text is not None and not factors):
        raise UsageError(
            f"expected factors among {', '.join(FACTORS)}, found {one_line(text or '')!r}",
            hint="--vary clock,path,locale",
        )
    return factors
