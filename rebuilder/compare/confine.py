"""The child gives away what it does not need, once its program is loaded and before it reads anything hostile.

`no_new_privs` (prctl(2)): nothing that it might start can gain rights. Landlock (landlock(7), Linux 5.13 and later):
from here on it executes nothing, writes nowhere but in the temporary directory, where its unnamed scratch file is, and
reads nothing but its program and the files that it was asked about: no key, no settings, no other artifact.
Where the kernel has no Landlock, the cage around the process is what remains.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

_PR_SET_NO_NEW_PRIVS = 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH = 1
_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_REMOVE_FILE, _MAKE_REG = 1 << 5, 1 << 8
_HANDLED = (1 << 13) - 1
"""All rights of the first version of the interface: execute, write, read, list, remove and make of every kind."""


def confine(files: Sequence[Path]) -> bool:
    """Give up rights for good, but for reading these files; answer whether Landlock took effect."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return False
    ruleset = struct.pack("<Q", _HANDLED)
    descriptor = library.syscall(_CREATE_RULESET, ruleset, len(ruleset), 0)
    if descriptor < 0:
        return False
    try:
        for directory in _program_directories():
            _allow(library, descriptor, directory, _READ_FILE | _READ_DIR)
        for path in files:
            _allow(library, descriptor, path, _READ_FILE)
        scratch = Path(tempfile.gettempdir())
        _allow(library, descriptor, scratch, _READ_FILE | _WRITE_FILE | _MAKE_REG | _REMOVE_FILE)
        return bool(library.syscall(_RESTRICT_SELF, descriptor, 0) == 0)
    finally:
        os.close(descriptor)


def _program_directories() -> list[Path]:
    """Where the interpreter, its libraries and this package are: modules are still loaded now and then."""
    installed = [Path(prefix) for prefix in (sys.prefix, sys.base_prefix)]
    system = [Path(name) for name in ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/share/zoneinfo")]
    return [path for path in (*installed, Path(__file__).parents[1], *system) if path.is_dir()]


def _allow(library: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    """Add a rule for a file or a tree; what cannot be opened is not allowed."""
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        library.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, struct.pack("<Qi", rights, opened), 0)
    finally:
        os.close(opened)
