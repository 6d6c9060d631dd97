"""Against Debian's sbuild (unshare mode), on the same source, suite and machine.

sbuild gets the source files laid out beside it, which we have to fetch and verify; it runs no lintian, makes no source
package, and skips the tests as we do.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

from bench.account import Account, account
from bench.place import SUITE, Beginnings, LeftOut, Place, Verified, say
from bench.report import Findings, Row, Spent
from rebuilder.world.files import digest_of

_PROGRAMS = ("sbuild", "mmdebstrap", "newuidmap", "runuser", "useradd")
_CHROOT = "chroot.tar"
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Seconds of sbuild."""

    chroot_s: float
    """Making the chroot."""
    build_s: float
    """Building in it."""
    made: dict[str, str]
    """SHA-256 of each .deb."""


def against_sbuild(place: Place, package: str) -> Findings:
    """Three ways to begin: with nothing, with a base image or chroot, and with a prepared environment.

    sbuild has nothing that corresponds to the last: it installs the build-dependencies each time.
    """
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    if missing:
        raise LeftOut(f"{', '.join(missing)} not found (`make bench` installs sbuild and uidmap as root)")
    ours = place.beginnings(package)
    with account() as user:
        theirs = _sbuild(place, user, ours.cold)
    return Findings(
        rows=_rows(package, theirs, ours), spent=[Spent(what=f"{package}: bare", phases=ours.bare.run.phases)]
    )


def _sbuild(place: Place, user: Account, verified: Verified) -> Peer:
    for name, path in place.source_files(verified).items():
        user.put(path, name)
    say("sbuild: a new chroot")
    made = user.run(
        ["mmdebstrap", "--mode=unshare", "--variant=buildd", f"--keyring={_KEYRING}", SUITE, _CHROOT, "-"],
        stdin=place.sources(),
    )
    if made.status:
        raise LeftOut(f"mmdebstrap ended with {made.status}: {last_line(made.errors)}")
    say("sbuild: the build")
    dsc = next(path.name for path in user.home.glob("*.dsc"))
    run = user.run(
        [
            "sbuild",
            "--chroot-mode=unshare",
            f"--chroot={user.home / _CHROOT}",
            f"--dist={SUITE}",
            "--build-path=/build/reproducible-path",
            "--arch-any",
            "--no-arch-all",
            "--no-run-lintian",
            f"--jobs={os.cpu_count()}",
            dsc,
        ],
        variables=("DEB_BUILD_OPTIONS=nocheck",),
    )
    if run.status:
        raise LeftOut(f"sbuild ended with {run.status}: {last_line(run.output or run.errors)}")
    debs = {path.name: digest_of(path).hex for path in user.home.glob("*.deb")}
    return Peer(chroot_s=made.wall_s, build_s=run.wall_s, made=debs)


def _rows(package: str, theirs: Peer, ours: Beginnings) -> list[Row]:
    same = all(theirs.made.get(name) == digest for name, digest in ours.cold.rebuilt.items())
    compared = f"{'the same' if same else 'other'} .debs"
    layer = "" if ours.is_bare else "; the engine kept the image's layer, which other images use"
    both_s = theirs.chroot_s + theirs.build_s
    cases = (
        (ours.bare, "bare", "nothing cached", "mmdebstrap, then sbuild", both_s, f"{compared}{layer}"),
        (ours.cold, "cold", "base image there", "sbuild with that chroot", theirs.build_s, compared),
        (ours.warm, "warm", "environment prepared", "sbuild with that chroot", theirs.build_s, compared),
    )
    return [
        Row(
            what=f"{name} verify of {package}, {beginning}",
            command=f"rebuilder verify deb:{SUITE}/{package}",
            ours_s=verified.run.wall_s,
            theirs=peer,
            theirs_s=seconds,
            goal="faster",
            holds=verified.run.wall_s < seconds,
            note=f"{seconds / verified.run.wall_s:.1f} times as fast as `{_command()}`; {note}",
        )
        for verified, name, beginning, peer, seconds, note in cases
    ]


def _command() -> str:
    return f"sbuild --chroot-mode=unshare --dist={SUITE} --arch-any --no-arch-all --no-run-lintian X.dsc"


def last_line(text: str) -> str:
    """Return the last line that says something, without addresses."""
    lines = [line for line in text.splitlines() if line.strip() and "://" not in line]
    return lines[-1][:200] if lines else "no message"
