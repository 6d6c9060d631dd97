"""`rebuilder layout`: a signed in-toto layout, with which stock clients accept what trusted rebuilders reproduced."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from rebuilder.cli import options
from rebuilder.cli.output import say, say_json
from rebuilder.cli.paths import output_file


@options.verb(
    "layout",
    """
rebuilder layout -o rebuild.layout                             one rebuilder: this machine's key
rebuilder layout -o rebuild.layout --key a.pem --key b.pem --threshold 2
rebuilder keys export owner -o owner.pem
in-toto-verify --layout rebuild.layout --verification-keys owner.pem --link-dir RUN/links/FILE/metablock
""",
)
@click.option(
    "-o", "--out", type=click.Path(dir_okay=False, path_type=Path), required=True, metavar="FILE", help="Write to FILE."
)
@click.option(
    "--key",
    "keys",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PEM",
    help="Public attestation key of a rebuilder that counts (default: this machine's own).",
)
@click.option("--threshold", type=click.IntRange(min=1), default=1, show_default=True, help="How many must agree.")
@click.option("--days", type=click.IntRange(min=1, max=3650), default=30, show_default=True, help="Until it expires.")
@click.option("--pattern", default="*.deb", show_default=True, help="Which files are to be covered.")
@options.config_option
@options.json_option
def command(  # noqa: PLR0913 - one parameter an option
    *, out: Path, keys: tuple[Path, ...], threshold: int, days: int, pattern: str, config: Path | None, as_json: bool
) -> None:
    """Write an in-toto layout signed by your owner key: which rebuilders you trust, and how many must agree.

    `in-toto-verify`, run in the directory where the artifact lies, then accepts it when that many of them published a
    link for exactly its bytes. The owner key is made on first use.
    """
    from rebuilder.attest.keys import Role  # noqa: PLC0415 - cryptography is slow to load
    from rebuilder.attest.keystore import ensure_key, key_uri, load_public_key  # noqa: PLC0415
    from rebuilder.attest.layout import make_layout, sign_layout  # noqa: PLC0415
    from rebuilder.attest.signing import open_signer  # noqa: PLC0415
    from rebuilder.world.files import write_atomically  # noqa: PLC0415

    output_file(out, keys)
    state = options.settings_from(config).state
    trusted = tuple(load_public_key(path) for path in keys) or (ensure_key(state, Role.ATTESTATION),)
    now = datetime.now(UTC)
    expires = now + timedelta(days=days)
    layout = make_layout(trusted, threshold=threshold, expires=expires, pattern=pattern)
    ensure_key(state, Role.OWNER)
    write_atomically(out, sign_layout(layout, open_signer(key_uri(state, Role.OWNER)), now=now))
    if as_json:
        say_json({"layout": str(out), "keys": [key.keyid for key in trusted], "threshold": threshold, "days": days})
    else:
        say(f"{out}: {threshold} of {len(trusted)} rebuilders must agree, until {expires:%Y-%m-%d}")
