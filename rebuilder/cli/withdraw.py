"""`rebuilder withdraw`: say in a signed document that a published result is not to be relied on any more."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import click

from rebuilder.cli import options
from rebuilder.cli.output import one_line, say, say_json
from rebuilder.cli.paths import RESULT_HINT, result_directory
from rebuilder.errors import UnknownTarget


@options.verb(
    "withdraw",
    """
rebuilder withdraw results/deb/…/RUN --reason "built on a machine with bad memory"
rebuilder withdraw results/deb/…/RUN --reason "wrong base image" --superseded-by results/deb/…/RUN2
""",
)
@click.argument("result", type=click.Path(path_type=Path))
@click.option("--reason", required=True, metavar="TEXT", help="Why: one line, published and signed.")
@click.option(
    "--superseded-by",
    "successor",
    type=click.Path(path_type=Path),
    metavar="RESULT",
    help="The result about the same release and architecture that is to be relied on instead.",
)
@options.config_option
@options.json_option
def command(result: Path, reason: str, successor: Path | None, config: Path | None, *, as_json: bool) -> None:
    """Withdraw the result in the directory RESULT: nothing is edited, one more signed document is published beside it.

    Only the attestation key that signed a result withdraws it, once. Pages, lists, pointer, badge and feed then say
    `withdrawn` with the reason, and `rebuilder check` ends with 4. The next `verify` of the release takes its place.
    In-toto links stay as files, and stock clients ask about no withdrawal: stop serving them.
    """
    from rebuilder.cli.rechecking import root_of  # noqa: PLC0415 - cryptography is slow to load
    from rebuilder.cli.withdrawn import why_withdrawn, withdrawn_object  # noqa: PLC0415
    from rebuilder.cli.world import ledger_of  # noqa: PLC0415
    from rebuilder.publish import scan  # noqa: PLC0415
    from rebuilder.stages.withdrawing import Wish, withdraw  # noqa: PLC0415

    directory = result_directory(result)
    root = root_of(directory)
    if root is None:
        raise UnknownTarget(
            f"{one_line(str(result))}: not in a results directory, where it was published",
            hint=RESULT_HINT,
        )
    settings = options.settings_from(config)
    wish = Wish(
        root=root,
        path=_within(root, directory),
        reason=reason,
        successor=None if successor is None else _within(root, result_directory(successor)),
    )
    withdrawal, place = withdraw(wish, settings, ledger_of(settings), datetime.now(UTC))
    dossier = scan.load(root, wish.path).dossier
    if as_json:
        told = withdrawn_object(withdrawal, dossier)
        say_json({"target": dossier.release.target, "withdrawn": told, "document": str(place)})
        return
    say(f"withdrawn: it said {dossier.verdict}  {dossier.release.target}")
    for line in [*why_withdrawn(withdrawal), str(place)]:
        say(f"  {line}")


def _within(root: Path, directory: Path) -> PurePosixPath:
    whole = directory.resolve()
    if not whole.is_relative_to(root):
        raise UnknownTarget(f"{one_line(str(directory))}: not in the same results directory, {root}")
    return PurePosixPath(whole.relative_to(root).as_posix())
