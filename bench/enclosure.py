"""Runs a command beside the stand-ins, in namespaces of its own: `python -m bench.enclosure …`.

Whoever starts it has made the namespaces (see `entering`): a network of nothing but loopback, mounts and processes. So
nothing that is done here reaches the machine, and when this process ends, for whatever reason, the kernel ends all that
it started and forgets the mounts and the network.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.stand_in import serving

PROGRAMS = ("setpriv", "unshare", "ip", "mount")
LATE = 124
"""Exit code when time ran out, as timeout(1) has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enclosure:
    """What a command finds in its namespaces."""

    snapshot: Path
    """A directory that bench/snapshot.py made."""
    names: tuple[str, ...]
    """Host names that the stand-ins answer to."""
    etc: Path
    """Files that are in /etc, instead of those of the same name and beside all others."""
    scratch: Path
    """Directory that takes the place of /tmp."""
    limit_s: int

    def entering(self) -> list[str]:
        """Return the command that makes the namespaces and runs the one after it inside; for root.

        The kernel kills `unshare` when the benchmark ends, and all that is inside when `unshare` ends.
        """
        return [
            *("setpriv", "--pdeathsig", "KILL"),
            *("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
            *("env", f"PYTHONPATH={Path(__file__).resolve().parent.parent}", sys.executable, "-m", __name__),
            *("--snapshot", str(self.snapshot), "--names", ",".join(self.names)),
            *("--etc", str(self.etc), "--scratch", str(self.scratch), "--limit", str(self.limit_s), "--"),
        ]


def main() -> int:
    """Set everything up, run the command, and end as it ended."""
    parser = argparse.ArgumentParser(prog="python -m bench.enclosure", description=__doc__)
    for name in ("snapshot", "etc", "scratch"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--names", required=True)
    parser.add_argument("--limit", type=int, required=True)
    parser.add_argument("command", nargs="+")
    given = parser.parse_args()
    _run("ip", "link", "set", "lo", "up")
    _run("mount", "-t", "overlay", "-o", f"ro,lowerdir={given.etc}:/etc", "overlay", "/etc")
    with serving(given.snapshot, given.names.split(",")):
        _run("mount", "--bind", str(given.scratch), "/tmp")  # noqa: S108 - what programs are told is /tmp
        return _within(given.command, given.limit)


def _within(command: Sequence[str], limit_s: int) -> int:
    with subprocess.Popen(command) as process:
        try:
            return process.wait(limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
            print(f"not done after {limit_s} s", file=sys.stderr)
            return LATE


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    sys.exit(main())
