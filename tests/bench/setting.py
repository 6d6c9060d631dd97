"""The machine and the run that pages of these tests tell of."""

from __future__ import annotations

from datetime import UTC, datetime

from bench.report import Setting

SETTING = Setting(
    day=datetime(2026, 11, 24, tzinfo=UTC),
    command="make bench",
    processors=2,
    architecture="x86_64",
    kernel="6.1.0",
    engine="docker 20.10",
    load=0.25,
)
