"""`rebuilder sign`: the signing step as a command of its own."""

from __future__ import annotations

from pathlib import Path

import click

from rebuilder.cli import options
from rebuilder.cli.output import say, say_json
from rebuilder.errors import UsageError


@options.verb(
    "sign",
    """
rebuilder sign ./request                                 with the attestation key of the state directory
rebuilder sign ./request --passphrase-file ~/.passphrase
""",
)
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--key", metavar="URI", help="Address of the attestation key (default: the file in the state directory).")
@click.option(
    "--passphrase-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The passphrase of the key is the first line of FILE (mode 0600).",
)
@options.config_option
@options.json_option
def command(
    directory: Path, key: str | None, passphrase_file: Path | None, config: Path | None, *, as_json: bool
) -> None:
    """Check the signing request in DIRECTORY and sign it, in a process that does nothing else.

    The builder's record, the plan, the verdicts and every payload are checked first; the same request again gives the
    same documents, another one for the same rebuild is refused. A withdrawal is signed if this key signed its result.
    """
    _verify_request(directory)
    from rebuilder.attest.keystore import passphrase_from_file  # noqa: PLC0415 - cryptography is slow to load
    from rebuilder.attest.run_signer import run_signer  # noqa: PLC0415

    settings = options.settings_from(config)
    passphrase = passphrase_from_file(passphrase_file) if passphrase_file else None
    paths = run_signer(directory, state=settings.state, key=key, passphrase=passphrase)
    if as_json:
        say_json({"signed": list(paths)})
        return
    for path in paths:
        say(path)


def _verify_request(directory: Path) -> None:
    if not directory.is_dir():
        raise UsageError(f"{directory}: no such directory", hint="name the directory of a signing request")
    if not any((directory / name).is_file() for name in ("context.json", "withdrawal.json")):
        raise UsageError(
            f"{directory}: not a signing request: it has no context.json",
            hint="name the directory of a request that `rebuilder verify`, `withdraw` or a farm has written",
        )
