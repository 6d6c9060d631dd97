"""`python -m rebuilder.attest DIR --state DIR [--key URI] [--passphrase-stdin]`: the signing step as a process.

Exit codes are those of `rebuilder.errors`; an error is one JSON object on standard error, for the caller to raise.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rebuilder.attest.keys import Role
from rebuilder.attest.keystore import enrolled, key_uri
from rebuilder.attest.signer import sign_request
from rebuilder.attest.signing import open_signer
from rebuilder.attest.withdrawal_request import is_withdrawal_request, sign_withdrawal
from rebuilder.errors import RebuilderError

PASSPHRASE_LIMIT_BYTES = 4096


def main(arguments: Sequence[str]) -> int:
    """Sign one request; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m rebuilder.attest", description="Check and sign one request.")
    parser.add_argument("request", type=Path)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--key", help="address of the attestation key; default: the key file in the state directory")
    parser.add_argument("--passphrase-stdin", action="store_true")
    options = parser.parse_args(arguments)
    passphrase = _read_passphrase if options.passphrase_stdin else None
    try:
        signer = open_signer(options.key or key_uri(options.state, Role.ATTESTATION), passphrase=passphrase)
        journal = options.state / "signed"
        if is_withdrawal_request(options.request):
            paths = sign_withdrawal(options.request, signer=signer, journal=journal)
        else:
            builders = enrolled(options.state, Role.BUILDER)
            paths = sign_request(options.request, signer=signer, builders=builders, journal=journal)
    except RebuilderError as error:
        report = {"error": type(error).__name__, "message": str(error), "hint": error.hint}
        sys.stderr.write(json.dumps(report) + "\n")
        return error.exit_code
    sys.stdout.write("".join(f"{path}\n" for path in paths))
    return 0


def _read_passphrase() -> bytes:
    return sys.stdin.buffer.readline(PASSPHRASE_LIMIT_BYTES).rstrip(b"\r\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
