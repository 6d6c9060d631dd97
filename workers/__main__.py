"""`python -m workers ROLE`: see `workers.command`, which is loaded without what no role uses."""

from __future__ import annotations

import sys

from workers.lean import UNUSED, without

with without(UNUSED):
    from workers.command import run

if __name__ == "__main__":
    sys.exit(run())
