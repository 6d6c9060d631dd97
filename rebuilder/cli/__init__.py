"""The command line: thin. Parse, call, print; every verb is a module of its own, imported when it is asked for."""

from __future__ import annotations

import sys


def main() -> None:
    """Run `rebuilder` with this process's arguments and end the process with its exit code."""
    from rebuilder.cli.guard import run  # noqa: PLC0415 - `rebuilder --version` must not wait for what it does not use

    sys.exit(run(sys.argv[1:]))
