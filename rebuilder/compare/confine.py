"""The child gives away what it does not need, once its program is loaded and before it reads anything hostile.

`no_new_privs` (prctl(2)): nothing that it might start can gain rights. Landlock (landlock(7), Linux 5.13 and later):
from here on it executes nothing, and writes nowhere but in the temporary directory, where its unnamed scratch file is.
Where the kernel has no Landlock, the cage around the process is what remains.
"""

from __future__ import annotations

import ctypes
import os
import struct
import tempfile

_PR_SET_NO_NEW_PRIVS = 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH = 1
_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_REMOVE_FILE, _MAKE_REG = 1 << 5, 1 << 8
_HANDLED = (1 << 13) - 1
"""All rights of the first version of the interface: execute, write, read, list, remove and make of every kind."""


def confine() -> bool:
    """Give up rights for good; answer whether Landlock took effect."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return False
    ruleset = struct.pack("<Q", _HANDLED)
    descriptor = library.syscall(_CREATE_RULESET, ruleset, len(ruleset), 0)
    if descriptor < 0:
        return False
    try:
        _allow(library, descriptor, "/", _READ_FILE | _READ_DIR)
        _allow(library, descriptor, tempfile.gettempdir(), _READ_FILE | _WRITE_FILE | _MAKE_REG | _REMOVE_FILE)
        return bool(library.syscall(_RESTRICT_SELF, descriptor, 0) == 0)
    finally:
        os.close(descriptor)


def _allow(library: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    directory = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        library.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, struct.pack("<Qi", rights, directory), 0)
    finally:
        os.close(directory)
