"""diffoscope and the external tools that sharpen its reports."""

from __future__ import annotations

import sys
from pathlib import Path

from rebuilder.doctor.finding import Condition, Finding
from rebuilder.errors import RebuilderError
from rebuilder.world import process

_PURPOSE = "explains differences"
_TIMEOUT_S = 60


def examine_reports(program: Path | None = None) -> Finding:
    """Ask diffoscope for its version and for the external tools that it misses."""
    diffoscope = program or Path(sys.executable).with_name("diffoscope")
    try:
        version = process.check(process.run([diffoscope, "--version"], timeout_s=_TIMEOUT_S), "diffoscope")
        tools = process.check(
            process.run([diffoscope, "--list-missing-tools", "debian"], timeout_s=_TIMEOUT_S), "diffoscope"
        )
    except RebuilderError as error:
        return Finding(
            name="diffoscope",
            condition=Condition.MISSING,
            found=str(error),
            purpose=_PURPOSE,
            remedy=error.hint or "`make setup` installs it",
        )
    missing = parse_missing_tools(tools.decode("utf-8", "replace"))
    return Finding(
        name="diffoscope",
        condition=Condition.OK,
        found=f"{version.decode('utf-8', 'replace').strip()}; {len(missing)} tools for less common formats are absent",
        purpose=_PURPOSE,
    )


def parse_missing_tools(text: str) -> tuple[str, ...]:
    """Read diffoscope's `External-Tools-Required: a, b, c`."""
    lines = [line.partition(":")[2] for line in text.splitlines() if line.startswith("External-Tools-Required:")]
    return tuple(tool.strip() for line in lines for tool in line.split(",") if tool.strip())
