"""What a stabilizer is: a name, a version, and the differences that it removes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rebuilder.compare.differences import Difference
from rebuilder.model.comparison import Stabilizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """A stabilizer at work. Any change of what it removes is a new version."""

    stabilizer: Stabilizer
    removes: Callable[[Difference], bool]
