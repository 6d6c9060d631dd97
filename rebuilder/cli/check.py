"""`rebuilder check`: a third party computes a published verdict again, offline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rebuilder.cli import options
from rebuilder.cli.output import say, say_json
from rebuilder.cli.paths import result_directory
from rebuilder.cli.withdrawn import why_withdrawn, withdrawn_object
from rebuilder.errors import UnknownTarget
from rebuilder.model.codec import to_plain

if TYPE_CHECKING:
    from rebuilder.attest.check_report import CheckReport
    from rebuilder.attest.keys import PublicKey


@options.verb(
    "check",
    """
rebuilder check results/deb/…/RUN --key rebuilder.pem   with a key that you were given
rebuilder keys pin example rebuilder.pem                pin it once, then:
rebuilder check results/deb/…/RUN
""",
)
@click.argument("result", type=click.Path(path_type=Path))
@click.option(
    "--key",
    "keys",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PEM",
    help="Public key of the rebuilder, from a source that you trust (default: the keys that you pinned).",
)
@click.option("--pinned", metavar="NAME", help="Only the key that is pinned under NAME.")
@options.config_option
@options.json_option
def command(result: Path, keys: tuple[Path, ...], pinned: str | None, config: Path | None, *, as_json: bool) -> int:
    """Compute the verdict in the directory RESULT again from its documents, without network.

    Every signature, digest and conclusion is checked; the key is yours or pinned by you, never one found beside the
    results. What was verified, what evidence was absent and what nobody checked is said. The exit code is that of the
    verdict (0, 1, 4) when the documents hold, 4 when the result was withdrawn, and 3 when anything does not hold, or
    when the compared file was refused.
    """
    from rebuilder.attest.check import check  # noqa: PLC0415 - cryptography is slow to load
    from rebuilder.cli.rechecking import helpers_for  # noqa: PLC0415
    from rebuilder.cli.words import code_of_result  # noqa: PLC0415

    settings = options.settings_from(config)
    directory = result_directory(result)
    report = check(directory, _trusted(keys, pinned, settings.state), helpers=helpers_for(directory, settings))
    if as_json:
        say_json(_object(report))
    else:
        _print(report)
    code = code_of_result(report.dossier, accept_equivalent=settings.policy.accept_equivalent)
    return code if report.withdrawal is None or code == 3 else 4


def _trusted(keys: tuple[Path, ...], name: str | None, state: Path) -> tuple[PublicKey, ...]:
    from rebuilder.attest.keystore import load_public_key  # noqa: PLC0415 - as above
    from rebuilder.cli.pins import pinned  # noqa: PLC0415

    if keys:
        return tuple(load_public_key(path) for path in keys)
    known = pinned(state)
    if name is not None and name not in known:
        raise UnknownTarget(f"no key is pinned under {name!r}", hint="`rebuilder keys pin NAME PEM`")
    return (known[name],) if name is not None else tuple(known.values())


def _object(report: CheckReport) -> dict[str, object]:
    return {
        "holds": True,
        "target": report.dossier.release.target,
        "rebuild_id": report.rebuild_id,
        "verdict": report.verdict,
        "causes": list(report.dossier.causes),
        "withdrawn": withdrawn_object(report.withdrawal, report.dossier),
        "attester": report.attester,
        "disowned": [to_plain(each) for each in report.dossier.disowned],
        "verified": list(report.verified),
        "absent": list(report.absent),
        "not_checked": list(report.not_checked),
    }


def _print(report: CheckReport) -> None:
    causes = f" ({', '.join(report.dossier.causes)})" if report.dossier.causes else ""
    what = f"{report.dossier.verdict}{causes}  {report.dossier.release.target}"
    say(f"holds: {what}" if report.withdrawal is None else f"withdrawn: it said {what}")
    for label, lines in (
        ("withdrawn", [] if report.withdrawal is None else why_withdrawn(report.withdrawal)),
        ("refused", [each.reason for each in report.dossier.disowned]),
        ("verified", report.verified),
        ("absent", report.absent),
        ("not checked", report.not_checked),
    ):
        for line in lines:
            say(f"  {label:<12} {line}")
