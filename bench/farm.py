"""A real rebuild through a farm of this machine, beside `rebuilder verify`: the overhead, and what builders do.

Both sides are warm: the environment is prepared, all inputs are there. The farm's time is from the moment when the
release is owed to the moment when its documents are published, so it has everything that `verify` does in it.
"""

from __future__ import annotations

import statistics

from bench.farm_roles import BUILDERS, Farm, memory, running
from bench.place import SUITE, Place, say
from bench.report import Row
from tests.workers.processes import Process

GOAL_OVERHEAD_S = 2.0
GOAL_IDLE_BYTES = 120 * 1000**2
_SEVERAL = 4
"""Rebuilds at once, to see how builders scale."""
_COMMAND = "python -m bench --only farm"


def farm(place: Place, package: str, times: int) -> list[Row]:
    """Overhead of a job, memory of an idle builder, one builder and two."""
    place.environment["REBUILDER_JOBS"] = "1"
    target = f"deb:{SUITE}/{package}"
    say(f"{package}: preparing its environment")
    place.verify(package)
    with running(place) as started:
        builder = started.hire(BUILDERS[0])
        idle = memory(builder)
        say("the farm's first rebuilds")
        started.rebuild([target])
        alone, through = [], []
        for _ in range(times):
            alone.append(place.verify(package).run.wall_s)
            through.append(started.rebuild([target]))
        after = memory(builder)
        rows = [_overhead(package, alone, through), _idle(idle, after)]
        return rows + _scaling(started, builder, target)


def _overhead(package: str, alone: list[float], through: list[float]) -> Row:
    ours, theirs = statistics.median(through), statistics.median(alone)
    return Row(
        what=f"rebuild of {package} through the farm, owed to published",
        command=_COMMAND,
        ours_s=ours,
        theirs="`rebuilder verify`, warm",
        theirs_s=theirs,
        goal=f"<= theirs + {GOAL_OVERHEAD_S:.0f} s",
        holds=ours <= theirs + GOAL_OVERHEAD_S,
        note=f"{ours - theirs:+.1f} s; single runs {_single(through)} and {_single(alone)} s; one builder, quorum 1, "
        "six processes, PostgreSQL and Redis; up to 1 s of it until the reconciler looks for what is owed",
    )


def _idle(before: int, after: int) -> Row:
    return Row(
        what="memory of an idle builder after its builds (MB)",
        command=_COMMAND,
        ours_s=after / 1000**2,
        theirs="before its first one (MB)",
        theirs_s=before / 1000**2,
        goal=f"< {GOAL_IDLE_BYTES / 1000**2:.0f} MB",
        holds=max(before, after) < GOAL_IDLE_BYTES,
        note="Celery's process and its child, proportional set size of both",
    )


def _scaling(started: Farm, builder: Process, target: str) -> list[Row]:
    several = [target] * _SEVERAL
    say(f"{_SEVERAL} rebuilds, one builder")
    one = started.rebuild(several)
    builder.end()
    started.hire(BUILDERS[1])
    say("the second builder's first rebuilds")
    started.rebuild([target])
    started.hire(BUILDERS[0])
    say(f"{_SEVERAL} rebuilds, two builders")
    two = started.rebuild(several)
    return [
        Row(
            what=f"{_SEVERAL} rebuilds through the farm, two builders",
            command=_COMMAND,
            ours_s=two,
            theirs="one builder",
            theirs_s=one,
            goal="",
            holds=None,
            note=f"{60 * _SEVERAL / two:.1f} a minute after {60 * _SEVERAL / one:.1f}; all roles and both builders "
            "share this machine's processors, and each build has one",
        )
    ]


def _single(runs: list[float]) -> str:
    return " ".join(f"{each:.1f}" for each in runs)
