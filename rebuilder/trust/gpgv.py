"""gpgv's opinion about an inline-signed document, asked beside Sequoia's where policy wants two.

Its status lines are documented in GnuPG's doc/DETAILS. It accepts any key of the keyring that it is given, so it is
given only the certificates that the signature names.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from rebuilder.errors import SignatureRefused
from rebuilder.world import process
from rebuilder.world.scratch import prefix as scratch_prefix

_STATUS = b"[GNUPG:] "
_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What gpgv found valid."""

    certificates: frozenset[str]
    """Fingerprints of the primary keys of valid signatures, upper-case."""
    text: bytes
    """The text that it says was signed."""
    version: str


def verify_inline(document: bytes, certificates: tuple[bytes, ...], *, name: str) -> Opinion:
    """Ask gpgv; raise SignatureRefused if it finds no valid signature or a bad one, ToolFailure if it is missing."""
    with tempfile.TemporaryDirectory(prefix=scratch_prefix("gpgv")) as directory:
        home = Path(directory)
        (home / "keyring.gpg").write_bytes(b"".join(certificates))
        (home / "document").write_bytes(document)
        inputs: list[str | Path] = ["--keyring", home / "keyring.gpg", home / "document"]
        command: list[str | Path] = ["gpgv", "--homedir", home, "--status-fd", "2", "--output", home / "text", *inputs]
        finished = process.run(command, timeout_s=_TIMEOUT_S)
        text = (home / "text").read_bytes() if (home / "text").is_file() else b""
    lines = [line[len(_STATUS) :].split() for line in finished.errors.splitlines() if line.startswith(_STATUS)]
    bad = {words[0] for words in lines} & {b"BADSIG", b"NODATA", b"UNEXPECTED"}
    valid = frozenset(
        words[10].decode("ascii", "replace") for words in lines if words[0] == b"VALIDSIG" and len(words) > 10
    )
    if bad or not valid:
        found = ", ".join(sorted(word.decode("ascii", "replace") for word in bad)) or "no valid signature"
        raise SignatureRefused(f"{name}: gpgv does not agree that the signature is valid: {found}")
    return Opinion(certificates=valid, text=text, version=_version())


def _version() -> str:
    first = (
        process.check(process.run(["gpgv", "--version"], timeout_s=_TIMEOUT_S), "gpgv")
        .decode("ascii", "replace")
        .splitlines()[0]
    )
    return first.replace("gpgv (GnuPG)", "gpgv")
