"""rebuilderd of Debian 13, as its package is, importing the suite that we import: in namespaces of its own.

It is bootstrapped with what it depends on from the archives that this machine's apt is configured for, and run in that
root with a network of loopback alone. There bench/stand_in.py serves the very indices that our own run fetched and
verified. So its time includes a download, but one from loopback. `python -m bench.rebuilderd ROOT` is what runs inside.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from bench.place import SUITE, LeftOut, Place, say
from bench.snapshot import VERSIONS
from bench.stand_in import serving
from bench.timing import Run, measure
from rebuilder.config import Settings, load_settings
from rebuilder.model.digest import Digest
from rebuilder.origins.catalogues import Catalogues
from rebuilder.store.blobs import LocalBlobs
from rebuilder.world.http import HttpFetcher

ARCHITECTURE = "amd64"
_PACKAGES = "rebuilderd,rebuildctl,ca-certificates"
_INDICES = ("main/source/Sources.xz", f"main/binary-{ARCHITECTURE}/Packages.xz")
_HOME = "/var/lib/rebuilderd"
_PORT = 8484
_PATIENCE_S = 20.0
_NEEDED = ("mmdebstrap", "chroot", "setpriv", "unshare", "ip")
_ENTERING = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
    *("env", f"PYTHONPATH={Path(__file__).resolve().parent.parent}", sys.executable, "-m", "bench.rebuilderd"),
)
"""The kernel ends what is inside when the benchmark ends."""
_ENTRY = re.compile(r"^ (?P<digest>[0-9a-f]{64}) +[0-9]+ (?P<path>[!-~]+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """One import into an empty database, and the same again."""

    first_s: float
    again_s: float
    daemon_bytes: int
    """Largest resident set of the daemon."""
    client_bytes: int
    binaries: int
    queued: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilderd:
    """A root directory with the program, and what it downloads."""

    root: Path
    mirror: Path
    """What is served to it."""
    version: str

    def sync(self) -> Synced:
        """Import into an empty database, and again; raise LeftOut when it does not end well."""
        shutil.rmtree(self.root / _HOME.strip("/"), ignore_errors=True)
        (self.root / _HOME.strip("/")).mkdir(parents=True)
        run = measure([*_ENTERING, str(self.root), str(self.mirror)])
        if run.status:
            raise LeftOut(f"rebuilderd's import ended with {run.status}: {(run.errors or run.output)[-300:]}")
        return Synced(**json.loads(run.output))


@contextlib.contextmanager
def rebuilderd(place: Place) -> Iterator[Rebuilderd]:
    """Bootstrap it and lay out what it asks for; raise LeftOut with the reason when that cannot be."""
    missing = [name for name in _NEEDED if shutil.which(name) is None]
    if missing:
        raise LeftOut(f"{', '.join(missing)} not found")
    with tempfile.TemporaryDirectory(prefix="rebuilder-bench-", dir="/var/tmp") as name:
        root, mirror = Path(name) / "root", Path(name) / "mirror"
        mirror.mkdir()
        _lay_out(mirror, place)
        say("bootstrapping rebuilderd")
        _bootstrap(root, place)
        yield Rebuilderd(root=root, mirror=mirror, version=_version(root))


def _bootstrap(root: Path, place: Place) -> None:
    sources = "".join(f"{line}\n" for line in place.sources().splitlines() if line.startswith("deb "))
    command = [
        "mmdebstrap",
        "--quiet",
        "--mode=root",
        "--variant=essential",
        f"--include={_PACKAGES}",
        SUITE,
        str(root),
        "-",
    ]
    done = subprocess.run(command, input=sources, text=True, capture_output=True, check=False)
    if done.returncode:
        reason = re.sub(r"https?://\S+", "an archive", done.stderr.strip())[-300:]
        raise LeftOut(f"mmdebstrap of rebuilderd ended with {done.returncode}: {reason}")


def _version(root: Path) -> str:
    said = subprocess.run(["chroot", str(root), "rebuilderd", "--version"], capture_output=True, text=True, check=False)
    return said.stdout.strip()


def _lay_out(root: Path, place: Place) -> None:
    """Put the suite's indices where a mirror has them: as they were fetched, under the digests that were signed for."""
    place.rebuilder("verify", f"deb:{SUITE}/hello", "--dry-run")
    settings = replace(load_settings(), cache=place.root / "cache", state=place.root / "state")
    blobs = LocalBlobs(settings.blobs_dir)
    signed = _signed(settings, blobs)
    for path in _INDICES:
        digest = signed.get(path)
        if digest is None or not blobs.has(digest):
            raise LeftOut(f"{path} of {SUITE} was not fetched in this form")
        target = root / "debian" / "dists" / SUITE / path
        target.parent.mkdir(parents=True)
        shutil.copyfile(blobs.path(digest), target)
    (root / VERSIONS).write_text("[]")


def _signed(settings: Settings, blobs: LocalBlobs) -> dict[str, Digest]:
    """Return the digests that the suite's InRelease names, verified again."""
    opened = Catalogues(settings, HttpFetcher(), blobs).open(f"deb:{SUITE}", datetime.now(UTC), (ARCHITECTURE,))
    return {found["path"]: Digest(found["digest"]) for found in _ENTRY.finditer(blobs.get(opened.document).decode())}


def main() -> int:
    """Run daemon and client inside, print what was measured."""
    root, mirror = map(Path, sys.argv[1:])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    inside = ["chroot", str(root), "env", "-C", _HOME, "HOME=/root"]
    words = ["pkgs", "sync", "debian", "main", "http://127.0.0.1/debian"]
    words += ["--architecture", ARCHITECTURE, "--release", SUITE]
    with (
        serving(mirror, ()),
        subprocess.Popen([*inside, "rebuilderd"], stdout=subprocess.DEVNULL, stderr=sys.stderr) as daemon,
    ):
        try:
            _wait()
            first, again = (measure([*inside, "rebuildctl", *words]) for _ in range(2))
            if first.status or again.status:
                return 1
            print(json.dumps(asdict(_synced(root, daemon.pid, first, again))))
        finally:
            daemon.kill()
    return 0


def _synced(root: Path, daemon: int, first: Run, again: Run) -> Synced:
    peak = re.search(r"VmHWM:\s+([0-9]+) kB", Path(f"/proc/{daemon}/status").read_text())
    with contextlib.closing(sqlite3.connect(root / _HOME.strip("/") / "rebuilderd.db")) as database:
        binaries, queued = (
            database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - names from here
            for table in ("packages", "queue")
        )
    return Synced(
        first_s=first.wall_s,
        again_s=again.wall_s,
        daemon_bytes=int(peak[1]) * 1024 if peak else 0,
        client_bytes=max(first.peak_bytes, again.peak_bytes),
        binaries=binaries,
        queued=queued,
    )


def _wait() -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", _PORT), timeout=1):
            return
        time.sleep(0.02)
    raise TimeoutError("rebuilderd does not listen")


if __name__ == "__main__":
    sys.exit(main())
