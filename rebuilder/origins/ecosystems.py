"""Which ecosystem a text is about, before any of them is loaded."""

from __future__ import annotations

from collections.abc import Iterable

from rebuilder.errors import UsageError


def named_in(text: str) -> str:
    """The purl type that a target or a suite is of: `deb:trixie`, `deb:trixie/cjson` and `pkg:deb/…` are of `deb`."""
    return text.removeprefix("pkg:").partition(":" if not text.startswith("pkg:") else "/")[0]


def unknown(ecosystem: str, known: Iterable[str]) -> UsageError:
    """Say that nothing is known of an ecosystem, and of which something is."""
    return UsageError(f"no origin for the ecosystem {ecosystem[:40]!r}", hint=f"known are: {', '.join(sorted(known))}")
