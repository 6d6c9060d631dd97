"""`make bench`: side by side with doing it by hand, with sbuild, debrebuild and sha256sum, in one run.

Every figure is measured in this run, on this machine, one thing at a time. Ratios are what matters: the machine is not.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from bench import debrebuild, equal, importing, peers, queue, speed
from bench.place import LeftOut, Place
from bench.report import Findings, Row, Setting, render
from rebuilder.build.engine import DockerEngine

PAGE = Path("docs/BENCHMARKS.md")
DEFAULT = "dry-run,equal,plain,sbuild,debrebuild,queue,import"
_WITHOUT_PLACE = {"queue"}
"""What needs neither a base image nor an archive."""


def main() -> int:
    """Run the chosen benchmarks and write the page; 1 when a goal was missed."""
    chosen = _arguments()
    packages, wanted = chosen.packages.split(","), chosen.only.split(",")
    setting = _setting()
    with Place() as place:
        if set(wanted) - _WITHOUT_PLACE:
            place.prepare()
        findings = _measure(place, packages, wanted, chosen.times)
    text = render(findings, setting)
    if out := chosen.out or (PAGE if chosen.only == DEFAULT else None):
        out.write_text(text)
    print(text)
    return 0 if findings.hold else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--packages", default="cjson,libssh2", help="trixie source packages to rebuild")
    parser.add_argument("--only", default=DEFAULT, help="which benchmarks to run")
    parser.add_argument("--times", type=int, default=3, help="how often each side of a comparison is run")
    parser.add_argument("--out", type=Path, help=f"where the page goes; {PAGE} when all benchmarks are run")
    return parser.parse_args()


def _measure(place: Place, packages: list[str], wanted: list[str], times: int) -> Findings:
    """Run one benchmark after the other; what cannot be run is named with its reason."""
    first = packages[0]
    jobs: dict[str, list[Callable[[], Findings | list[Row]]]] = {
        "dry-run": [lambda: speed.dry_run(place, first)],
        "equal": [lambda: equal.equal_artifacts(place)],
        "plain": [lambda package=package: speed.against_plain(place, package, times) for package in packages],  # type: ignore[misc]
        "sbuild": [lambda: peers.against_sbuild(place, first)],
        "debrebuild": [lambda: debrebuild.against_debrebuild(place, first)],
        "import": [lambda: importing.importing(place, times)],
        "queue": [queue.queue],
    }
    found = Findings()
    for name in (name for name in jobs if name in wanted):
        for job in jobs[name]:
            try:
                result = job()
            except LeftOut as reason:
                found.left_out.append((name, str(reason)))
                continue
            part = result if isinstance(result, Findings) else Findings(rows=result)
            found.rows.extend(part.rows)
            found.spent.extend(part.spent)
    return found


def _command(arguments: list[str]) -> str:
    """Say what to type for the same run."""
    return f"make bench ARGS='{shlex.join(arguments)}'" if arguments else "make bench"


def _setting() -> Setting:
    engine = DockerEngine().describe()
    return Setting(
        day=datetime.now(UTC),
        command=_command(sys.argv[1:]),
        processors=os.cpu_count() or 1,
        architecture=platform.machine(),
        kernel=platform.release().split("-")[0],
        engine=f"{engine.name} {engine.version}",
        load=os.getloadavg()[0],
    )


if __name__ == "__main__":
    sys.exit(main())
