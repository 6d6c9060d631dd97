"""The command line: thin. Parse, call, print; every verb is a module of its own, imported when it is asked for."""

from __future__ import annotations

import gc
import signal
import sys

INTERRUPTED = 130
_NEW_OBJECTS = 50_000
"""How many, before Python looks for cycles among them: usually 700, and the modules of a verb are 70,000 that stay."""


def main() -> None:
    """Run `rebuilder` with this process's arguments and end the process with its exit code.

    Ctrl-C while the modules are still being loaded, or while the process ends, shows no traceback either.
    """
    gc.set_threshold(_NEW_OBJECTS)
    try:
        from rebuilder.cli.guard import run  # noqa: PLC0415 - inside, so that an interrupt is caught while it is loaded

        code = run(sys.argv[1:])
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the answer was given
        gc.freeze()  # else Python looks for cycles among everything that is loaded twice more while it ends
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted\n")
        code = INTERRUPTED
    sys.exit(code)
