"""Disks that are really full: file systems in memory, which root makes where a farm is to write."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_LARGE = "3g"
"""A limit of what may be written: nothing is taken of the memory before."""


@dataclass(frozen=True, kw_only=True)
class SmallDisk:
    """A file system that is as large as the test says, now."""

    root: Path

    def fill(self, *, left: int = 0) -> None:
        """Let it have so many bytes left, whatever is on it: something is, for no size at all would be any size."""
        while self._free() > left:
            found = os.statvfs(self.root)
            used = (found.f_blocks - found.f_bfree) * found.f_frsize
            assert used
            subprocess.run(["mount", "-o", f"remount,size={used + left}", self.root], check=False, capture_output=True)

    def clear(self) -> None:
        """Have room again."""
        subprocess.run(["mount", "-o", f"remount,size={_LARGE}", self.root], check=True)

    def _free(self) -> int:
        found = os.statvfs(self.root)
        return found.f_bavail * found.f_frsize


@contextmanager
def small_disk(root: Path) -> Iterator[SmallDisk]:
    """Have one at a directory, which is made, as long as the context lasts."""
    root.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_LARGE},mode=0755", "none", root], check=True)
    try:
        yield SmallDisk(root=root)
    finally:
        subprocess.run(["umount", "--lazy", root], check=True)
