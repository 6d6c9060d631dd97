"""Against doing it by hand: the same steps in one `docker run`, and the bare build step."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.phases import Phase
from bench.place import SUITE, Place, Verified, say
from bench.report import Findings, Row, Spent
from bench.timing import measure

_SCRIPT = Path(__file__).with_name("plain.sh")
COLD_RATIO, COLD_PLUS_S = 1.10, 3.0
WARM_RATIO, WARM_PLUS_S = 1.05, 3.0
DRY_RUN_S, DRY_RUN_BYTES = 3.0, 200 * 1000**2
DRY_RUNS = 5
_PHASES = ("resolve", "authenticate", "install", "unpack", "build")
"""The script's update, source, build-dep, dpkg-source and dpkg-buildpackage, by the names of our phases."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """One run of the plain script."""

    wall_s: float
    phases: tuple[Phase, ...]
    made: Mapping[str, str]
    """SHA-256 of each .deb."""

    @property
    def build_s(self) -> float:
        """Of dpkg-buildpackage alone."""
        return self.phases[-1].seconds


def dry_run(place: Place, package: str) -> list[Row]:
    """Authenticate and resolve with cached indices: seconds, and peak memory."""
    arguments = ("verify", f"deb:{SUITE}/{package}", "--dry-run")
    place.rebuilder(*arguments)
    runs = [place.rebuilder(*arguments) for _ in range(DRY_RUNS)]
    typical = statistics.median(run.wall_s for run in runs)
    peak = max(run.peak_bytes for run in runs)
    return [
        Row(
            what=f"authenticate and resolve {package}, indices cached",
            command=f"rebuilder {' '.join(arguments)}",
            ours_s=typical,
            theirs="",
            theirs_s=None,
            goal=f"< {DRY_RUN_S:.0f} s, peak < 200 MB",
            holds=typical < DRY_RUN_S and peak < DRY_RUN_BYTES,
            note=f"{_each(run.wall_s for run in runs)}; peak resident memory {peak / 1000**2:.0f} MB",
        )
    ]


def against_plain(place: Place, package: str, times: int) -> Findings:
    """Cold and warm, beside the plain script and its build step, in turn; medians."""
    plain: list[Plain] = []
    cold: list[Verified] = []
    warm: list[Verified] = []
    for number in range(1, times + 1):
        say(f"{package}, {number} of {times}: plain script")
        plain.append(_plain(place, package))
        say(f"{package}, {number} of {times}: cold verify")
        place.cold()
        cold.append(place.verify(package))
        say(f"{package}, {number} of {times}: warm verify")
        warm.append(place.verify(package))
    return Findings(
        rows=_rows(package, plain, cold, warm),
        spent=[
            Spent(what=f"{package}: script", phases=sorted(plain, key=lambda run: run.wall_s)[times // 2].phases),
            *(
                Spent(what=f"{package}: {name}", phases=_typical(runs).run.phases)
                for name, runs in (("cold", cold), ("warm", warm))
            ),
        ],
    )


def _rows(package: str, plain: list[Plain], cold: list[Verified], warm: list[Verified]) -> list[Row]:
    total, build = (
        statistics.median(times) for times in zip(*((run.wall_s, run.build_s) for run in plain), strict=True)
    )
    ours, again = (_typical(runs).run.wall_s for runs in (cold, warm))
    command = f"rebuilder verify deb:{SUITE}/{package}"
    compared = _agreement(plain[0].made, cold[0])
    return [
        Row(
            what=f"cold verify of {package}, base image there",
            command=command,
            ours_s=ours,
            theirs="plain script in `docker run` (bench/plain.sh)",
            theirs_s=total,
            goal=f"<= {COLD_RATIO:.2f} x + {COLD_PLUS_S:.0f} s",
            holds=ours <= COLD_RATIO * total + COLD_PLUS_S,
            note=f"medians of ours {_each(v.run.wall_s for v in cold)} and theirs {_each(p.wall_s for p in plain)}; "
            f"{compared}",
        ),
        Row(
            what=f"warm verify of {package}, environment prepared",
            command=f"{command} (again)",
            ours_s=again,
            theirs="its dpkg-buildpackage step alone",
            theirs_s=build,
            goal=f"<= {WARM_RATIO:.2f} x + {WARM_PLUS_S:.0f} s",
            holds=again <= WARM_RATIO * build + WARM_PLUS_S,
            note=f"medians of ours {_each(v.run.wall_s for v in warm)} and theirs {_each(p.build_s for p in plain)}",
        ),
    ]


def _plain(place: Place, package: str) -> Plain:
    """Run the script in the same base image, with what a container gets by default."""
    options = ("--rm", "--init", "--network=host", "-i", "-v", f"{_SCRIPT.absolute()}:/plain.sh:ro")
    run = measure(
        [place.engine_client(), "run", *options, place.image, "sh", "/plain.sh", package], stdin=place.sources()
    )
    if run.status:
        raise SystemExit(f"the plain script ended with {run.status}: {run.errors[-500:]}")
    return read_plain(run.output, run.wall_s)


def read_plain(output: str, wall_s: float) -> Plain:
    """Read what the script printed: six points in time, and the digests of the .debs."""
    lines = output.splitlines()
    points = [float(word) for word in next(line for line in lines if line.startswith("phases ")).split()[1:]]
    spent = (later - earlier for earlier, later in itertools.pairwise(points))
    sums = [line.split(None, 1) for line in lines if line.endswith(".deb")]
    return Plain(
        wall_s=wall_s,
        phases=tuple(Phase(name=name, seconds=seconds) for name, seconds in zip(_PHASES, spent, strict=True)),
        made={name.removeprefix("./"): digest for digest, name in sums},
    )


def _agreement(made: Mapping[str, str], ours: Verified) -> str:
    """Say whether both built the same bytes, so that the times are of the same work."""
    same = all(made.get(name) == digest for name, digest in ours.rebuilt.items())
    return f"verdict {ours.answer['verdict']}, {'the same' if same else 'other'} .debs"


def _typical(runs: list[Verified]) -> Verified:
    """Return the run with the (upper) median time."""
    return sorted(runs, key=lambda verified: verified.run.wall_s)[len(runs) // 2]


def _each(seconds: object) -> str:
    return ", ".join(f"{each:.1f}" for each in seconds)  # type: ignore[attr-defined]
