"""A user account for one benchmark: sbuild's unshare mode wants one with subordinate user ids. Removed afterwards."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.place import LeftOut
from bench.timing import Run, measure

_PREFIX = "rebuilder-bench-"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The account, and its empty home directory, which everybody may enter."""

    name: str
    home: Path

    def run(
        self, command: Sequence[str], *, stdin: str = "", variables: Sequence[str] = (), within: Sequence[str] = ()
    ) -> Run:
        """Measure a command that runs as this user, at home, with PATH, HOME and `variables` as its environment.

        `within` is a command of root's that is given the rest to run.
        """
        clean = ("env", "-i", f"PATH={PATH}", f"HOME={self.home}", "LC_ALL=C.UTF-8", f"USER={self.name}", *variables)
        return measure([*within, "runuser", "-u", self.name, "--", *clean, *command], stdin=stdin, directory=self.home)

    def put(self, source: Path, name: str) -> None:
        """Copy a file home."""
        target = self.home / name
        shutil.copyfile(source, target)
        shutil.chown(target, self.name, self.name)


@contextlib.contextmanager
def account() -> Iterator[Account]:
    """Make the account; raise LeftOut when it cannot be made."""
    if os.geteuid() != 0:
        raise LeftOut("it needs a user of its own, and only root can make one")
    home = Path(tempfile.mkdtemp(prefix=_PREFIX, dir="/var/tmp"))
    name = f"{_PREFIX}{os.getpid()}"
    try:
        _make(name, home)
        yield Account(name=name, home=home)
    finally:
        subprocess.run(["userdel", name], capture_output=True, check=False)
        shutil.rmtree(home, ignore_errors=True)


def _make(name: str, home: Path) -> None:
    made = subprocess.run(
        ["useradd", "--home-dir", str(home), "--no-create-home", "--shell", "/bin/sh", name],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise LeftOut(f"useradd ended with {made.returncode}: {made.stderr.strip()[:200]}")
    if not any(line.startswith(f"{name}:") for line in Path("/etc/subuid").read_text().splitlines()):
        raise LeftOut("useradd gave the new user no subordinate user ids")
    home.chmod(0o755)
    user = pwd.getpwnam(name)
    os.chown(home, user.pw_uid, user.pw_gid)
