"""The files of a directory that somebody else may have put together: regular files, plain names, bounded."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from rebuilder.attest.context import verify_path
from rebuilder.errors import HostileInput
from rebuilder.world.files import storage_errors

FILES_LIMIT = 20_000


def list_files(root: Path, *, whole: bool = False) -> tuple[str, ...]:
    """Give the paths of all files below `root`, sorted; refuse links, devices, strange names and too many of them.

    With `whole`, a directory that holds nothing is refused as well: no document can speak of it.
    """
    found = []
    for path in _walk(root, "", whole=whole):
        found.append(path)
        if len(found) > FILES_LIMIT:
            raise HostileInput(f"{root.name}: more than {FILES_LIMIT} files")
    return tuple(sorted(found))


def _walk(directory: Path, prefix: str, *, whole: bool) -> Iterator[str]:
    with storage_errors(directory):
        entries = list(os.scandir(directory))
    if whole and prefix and not entries:
        raise HostileInput(
            f"{prefix} is an empty directory: no document speaks of it", hint="remove it, or fetch again"
        )
    for entry in entries:
        path = f"{prefix}{entry.name}"
        verify_path(path)
        with storage_errors(directory):
            mode = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            yield from _walk(directory / entry.name, f"{path}/", whole=whole)
        elif stat.S_ISREG(mode):
            yield path
        else:
            raise HostileInput(f"{path} is neither a regular file nor a directory")
