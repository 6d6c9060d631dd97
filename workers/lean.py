"""What a worker's libraries would load for features that no worker has.

They look whether another library is installed, and load it when it is: structlog loads rich, which draws on terminals,
and securesystemslib loads boto3, for keys in a cloud. Both are 11 MB of each worker's memory where they are installed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

UNUSED = ("boto3", "rich")


@contextmanager
def without(names: tuple[str, ...]) -> Iterator[None]:
    """Let what is imported inside find that these are not installed; what was loaded before stays."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type] # None: "not found", by the import reference
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
