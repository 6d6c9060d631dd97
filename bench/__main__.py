"""`make bench`: side by side with doing it by hand, with sbuild, debrebuild and sha256sum, in one run.

Every figure is measured in this run, on this machine, one thing at a time. Ratios are what matters: the machine is not.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from bench import debrebuild, equal, farm, importing, peers, queue, speed
from bench.place import LeftOut, Place
from bench.report import Findings, Page, Row, Setting, merged, render
from rebuilder.build.engine import DockerEngine

PAGES = (
    Page(
        path=Path("docs/BENCHMARKS.md"),
        title="Benchmarks",
        names=("dry-run", "equal", "plain", "sbuild", "debrebuild"),
        see="Of single rebuilds; the farm's are in [BENCHMARKS-FARM.md](BENCHMARKS-FARM.md).",
    ),
    Page(
        path=Path("docs/BENCHMARKS-FARM.md"),
        title="Benchmarks of the farm",
        names=("queue", "import", "farm"),
        see="Those of single rebuilds are in [BENCHMARKS.md](BENCHMARKS.md).",
    ),
)
DEFAULT = ",".join(name for page in PAGES for name in page.names)
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
    everything = merged(findings.values())
    text = render(everything, setting)
    if chosen.out is not None:
        chosen.out.write_text(text)
    else:
        _write_pages(findings, setting)
    print(text)
    return 0 if everything.hold else 1


def _write_pages(findings: Mapping[str, Findings], setting: Setting) -> None:
    """Write the pages all of whose benchmarks were run; the others stay as they are."""
    for page in PAGES:
        if findings.keys() >= set(page.names):
            page.path.write_text(render(merged(findings[name] for name in page.names), setting, page))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--packages", default="cjson,libssh2", help="trixie source packages to rebuild")
    parser.add_argument("--only", default=DEFAULT, help="which benchmarks to run")
    parser.add_argument("--times", type=int, default=3, help="how often each side of a comparison is run")
    parser.add_argument(
        "--out", type=Path, help="where all of it goes, instead of to each page whose benchmarks were run"
    )
    return parser.parse_args()


def _measure(place: Place, packages: list[str], wanted: list[str], times: int) -> dict[str, Findings]:
    """Run one benchmark after the other; what cannot be run is named with its reason."""
    first = packages[0]
    jobs: dict[str, list[Callable[[], Findings | list[Row]]]] = {
        "dry-run": [lambda: speed.dry_run(place, first)],
        "equal": [lambda: equal.equal_artifacts(place)],
        "plain": [lambda package=package: speed.against_plain(place, package, times) for package in packages],  # type: ignore[misc]
        "sbuild": [lambda: peers.against_sbuild(place, first)],
        "debrebuild": [lambda: debrebuild.against_debrebuild(place, first)],
        "queue": [queue.queue],
        "import": [lambda: importing.importing(place, times)],
        "farm": [lambda: farm.farm(place, first, times)],
    }
    return {name: merged(_found(name, job) for job in jobs[name]) for name in jobs if name in wanted}


def _found(name: str, job: Callable[[], Findings | list[Row]]) -> Findings:
    try:
        result = job()
    except LeftOut as reason:
        return Findings(left_out=[(name, str(reason))])
    return result if isinstance(result, Findings) else Findings(rows=result)


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
