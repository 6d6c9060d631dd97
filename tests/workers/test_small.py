"""What a worker's process does not load: an idle builder is to stay small."""

from __future__ import annotations

import subprocess
import sys


def test_a_worker_loads_no_database() -> None:
    """It reaches a coordinator and no ledger: the library of databases would be a fifth of its memory."""
    script = (
        "import sys, workers.__main__, workers.tasks; print(sorted({'sqlalchemy', 'obstore'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
