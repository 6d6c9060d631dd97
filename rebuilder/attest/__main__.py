"""`python -m rebuilder.attest --state DIR [--key URI]`: the signing step as a process.

Its standard input is one line of JSON, `{"request": DIR, "passphrase": BOOLEAN}`, then the line of the passphrase if
there is one. It may wait for that as long as its parent lives: without a line it ends and has signed nothing.
Exit codes are those of `rebuilder.errors`; an error is one JSON object on standard error, for the caller to raise.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rebuilder.attest.keys import Role
from rebuilder.attest.keystore import Passphrase, enrolled, key_uri
from rebuilder.attest.signer import sign_request
from rebuilder.attest.signing import open_signer
from rebuilder.attest.verify_request import load_schemas
from rebuilder.attest.withdrawal_request import is_withdrawal_request, sign_withdrawal
from rebuilder.errors import RebuilderError, UsageError

_LINE_LIMIT_BYTES = 16 * 1024


def main(arguments: Sequence[str]) -> int:
    """Sign the request that standard input names; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m rebuilder.attest", description="Check and sign one request.")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--key", help="address of the attestation key; default: the key file in the state directory")
    options = parser.parse_args(arguments)
    load_schemas()  # while the parent has nothing to sign yet
    try:
        request, passphrase = _asked()
        signer = open_signer(options.key or key_uri(options.state, Role.ATTESTATION), passphrase=passphrase)
        journal = options.state / "signed"
        if is_withdrawal_request(request):
            paths = sign_withdrawal(request, signer=signer, journal=journal)
        else:
            builders = enrolled(options.state, Role.BUILDER)
            paths = sign_request(request, signer=signer, builders=builders, journal=journal)
    except RebuilderError as error:
        report = {"error": type(error).__name__, "message": str(error), "hint": error.hint}
        sys.stderr.write(json.dumps(report) + "\n")
        return error.exit_code
    sys.stdout.write("".join(f"{path}\n" for path in paths))
    return 0


def _asked() -> tuple[Path, Passphrase | None]:
    try:
        wish = json.loads(_line())
        request, locked = Path(wish["request"]), wish["passphrase"] is True
    except (ValueError, KeyError, TypeError):
        raise UsageError("the signing process was not told what to sign") from None
    return request, _line if locked else None


def _line() -> bytes:
    return sys.stdin.buffer.readline(_LINE_LIMIT_BYTES).rstrip(b"\r\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
