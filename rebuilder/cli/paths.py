"""Paths that a person named: one answer for each thing that can be wrong with them."""

from __future__ import annotations

import errno
import stat
from collections.abc import Collection
from pathlib import Path

from rebuilder.cli.output import one_line
from rebuilder.errors import UnknownTarget, UsageError


def regular_file(path: Path, hint: str | None = None) -> Path:
    """Return the path of a regular file; raise UnknownTarget for what is absent, unreadable, or something else."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        why = "no such file" if error.errno in {errno.ENOENT, errno.ENOTDIR} else error.strerror
        raise UnknownTarget(f"{one_line(str(path))}: {why}", hint=hint) from error
    if not stat.S_ISREG(mode):
        raise UnknownTarget(f"{one_line(str(path))}: not a regular file", hint=hint)
    return path


def output_file(path: Path, inputs: Collection[Path] = ()) -> Path:
    """Return where a file is to be written; raise UsageError where none can be, or where an input is.

    A directory is never made: one that is not there is most likely misspelt.
    """
    try:
        is_there, has_place = path.exists(), path.absolute().parent.is_dir()
        is_input = is_there and any(each.exists() and path.samefile(each) for each in inputs)
    except (OSError, ValueError) as error:
        raise UsageError(f"{one_line(str(path))}: {error}", hint="name another FILE") from error
    if not has_place:
        raise UsageError(
            f"{one_line(str(path))}: its directory is not there", hint="make it first, or name another FILE"
        )
    if is_input:
        raise UsageError(
            f"{one_line(str(path))}: it is read by this command, and would be overwritten", hint="name another FILE"
        )
    return path


def is_result(directory: Path) -> bool:
    """Tell whether a directory holds a result; a name that can be none of a directory's is no fault."""
    try:
        return (directory / "dossier.json").is_file()
    except OSError:
        return False


RESULT_HINT = "name the directory of one run: results/<ecosystem>/<name>/<version>/<architecture>/<run>"


def result_directory(named: Path) -> Path:
    """Return the directory of a result, also where its page or dossier was named; raise UnknownTarget for others."""
    directory = named.parent if named.name in {"index.html", "dossier.json"} else named
    if not is_result(directory):
        raise UnknownTarget(f"{one_line(str(named))}: no result: it holds no dossier.json", hint=RESULT_HINT)
    return directory
