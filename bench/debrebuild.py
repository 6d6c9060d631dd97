"""Against debrebuild of Debian's devscripts, on a local snapshot that is made of what our own run used.

debrebuild (2.23, of Debian 12) keeps nothing between runs: it makes a chroot of the packages that a .buildinfo names,
each fetched from a snapshot archive, and builds in it. It gets the .buildinfo of our rebuild, so that both build in the
same environment. The host names of the services that it asks are fixed in its source: they are read from there, and
stand-ins answer to them. Its builder is mmdebstrap: sbuild fails there, for the chroot then has no apt-get, which no
.buildinfo asks for.
"""

from __future__ import annotations

import re
import shutil
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.account import PATH, Account, account
from bench.enclosure import PROGRAMS, Enclosure
from bench.peers import last_line
from bench.place import SUITE, Beginnings, LeftOut, Place, Verified, say
from bench.report import Findings, Row
from bench.snapshot import lay_out
from rebuilder.config import load_settings
from rebuilder.errors import RebuilderError
from rebuilder.model import codec
from rebuilder.model.dossier import Dossier
from rebuilder.origins.debian.supply import Supply
from rebuilder.progress import Silent
from rebuilder.store.blobs import LocalBlobs
from rebuilder.world.files import digest_of
from rebuilder.world.http import HttpFetcher

LIMIT_S = 600
BUILDER = "mmdebstrap"
_BUILDINFO, _PROGRAMS = "input.buildinfo", "bin"
_TOOLS = ("debrebuild", "debootsnap", "debsnap")
_NEEDED = (
    *_TOOLS,
    *PROGRAMS,
    "equivs-build",
    "apt-ftparchive",
    "dpkg-name",
    "mmdebstrap",
    "newuidmap",
    "runuser",
    "useradd",
)
_ADDRESS = re.compile(r"""https?://([a-z0-9-]+(?:\.[a-z0-9-]+)+)/?(?:archive/|cgi-bin/|["'])""")
_SPEED = re.compile(r"^.*MAX_RECV_SPEED_LARGE.*\n", re.MULTILINE)
_BOOTSTRAP = re.compile(r'cmd = \[\s+"mmdebstrap",')
_SOURCE = re.compile(r"^Source: (\S+)$", re.MULTILINE)
_OPTIONS = re.compile(r'^ DEB_BUILD_OPTIONS="(.*)"$', re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """One run of debrebuild."""

    wall_s: float
    made: dict[str, str]
    """SHA-256 of each .deb."""


def against_debrebuild(place: Place, package: str) -> Findings:
    """Three ways for us to begin, beside debrebuild, which has only one; with its limit on speed and without."""
    missing = [name for name in _NEEDED if shutil.which(name) is None]
    if missing:
        raise LeftOut(f"{', '.join(missing)} not found (`make bench` installs devscripts and what it needs as root)")
    ours = place.beginnings(package)
    with account() as user:
        slow, fast = _debrebuild(place, user, ours.cold)
    return Findings(rows=_rows(package, ours, slow, fast))


def services(sources: Sequence[str]) -> tuple[str, ...]:
    """Find the host names of the services in the sources of the tools; raise LeftOut when there are none."""
    found = sorted({name for text in sources for name in _ADDRESS.findall(text)})
    if not found:
        raise LeftOut("the sources of debrebuild, debootsnap and debsnap name no service that could be stood in for")
    return tuple(found)


def digestible(buildinfo: str, source_version: str) -> str:
    """Write a .buildinfo so that debrebuild 2.23 can use it; what it says stays the same.

    It loses the version of a `Source` that does not repeat it, and its builder breaks on a DEB_BUILD_OPTIONS with a
    space: without `parallel=` dpkg-buildpackage takes all processors.
    """
    text = _SOURCE.sub(rf"Source: \1 ({source_version})", buildinfo, count=1)
    return _OPTIONS.sub(
        lambda found: f' DEB_BUILD_OPTIONS="{" ".join(each for each in found[1].split() if "parallel" not in each)}"',
        text,
    )


def repaired(debootsnap: str, *, is_limited: bool) -> str:
    """Return debootsnap's source as debrebuild 2.23 needs it; raise LeftOut when it is another one.

    Its mmdebstrap takes debrebuild's file name for a directory's, where a tar archive is wanted. Its limit on the speed
    of downloads, which spares the real archive, can be taken out.
    """
    text, count = _BOOTSTRAP.subn('\\g<0> "--format=tar",', debootsnap)
    if is_limited:
        without, limits = text, 1
    else:
        without, limits = _SPEED.subn("", text)
    if not count or not limits:
        raise LeftOut("debootsnap is none that this benchmark knows how to run")
    return without


def _debrebuild(place: Place, user: Account, verified: Verified) -> tuple[Rebuilt, Rebuilt]:
    """Run it as it is, then with a debootsnap that downloads as fast as it can."""
    result = Path(verified.answer["documents"][0])
    dossier = codec.parse((result / "dossier.json").read_bytes(), Dossier)
    found = sorted((result / "outputs").glob("*.buildinfo"))
    if dossier.plan is None or not found:
        raise LeftOut("our rebuild left no .buildinfo")
    enclosure = _enclose(user)
    _make_snapshot(enclosure.snapshot, dossier, place.root / "cache")
    (user.home / _BUILDINFO).write_text(digestible(found[0].read_text(), dossier.plan.source_version))
    (user.home / _PROGRAMS).mkdir()
    say("debrebuild")
    slow = _run(user, enclosure, is_limited=True)
    say("debrebuild, downloading as fast as it can")
    fast = _run(user, enclosure, is_limited=False)
    return slow, fast


def _make_snapshot(root: Path, dossier: Dossier, cache: Path) -> None:
    """Fetch what the base image was made of, where only the image was kept, and lay everything out."""
    settings = replace(load_settings(), cache=cache)
    try:
        if dossier.lock is not None:
            supply = Supply(settings, HttpFetcher(), LocalBlobs(settings.blobs_dir), Silent())
            supply.bring_locked(dossier.lock)
        lay_out(root, dossier, cache)
    except RebuilderError as error:
        raise LeftOut(f"no snapshot can be made: {type(error).__name__}") from error


def _enclose(user: Account) -> Enclosure:
    """Prepare what the namespaces are made of, in the account's home, which is removed with the account."""
    names = services([_source(name) for name in _TOOLS])
    archive = services([_source("debsnap")])[0]
    made = {name: user.home / name for name in ("snapshot", "etc", "scratch")}
    for directory in made.values():
        directory.mkdir()
        directory.chmod(0o755)
    made["scratch"].chmod(0o1777)
    files = {
        "hosts": f"127.0.0.1 localhost {socket.gethostname()} {' '.join(names)}\n",
        "resolv.conf": "nameserver 127.0.0.1\n",
        "devscripts.conf": f"DEBSNAP_BASE_URL=http://{archive}\n",
    }
    for name, text in files.items():
        (made["etc"] / name).write_text(text)
        (made["etc"] / name).chmod(0o644)
    return Enclosure(**made, names=names, limit_s=LIMIT_S)


def _run(user: Account, enclosure: Enclosure, *, is_limited: bool) -> Rebuilt:
    out, debootsnap = user.home / ("limited" if is_limited else "unlimited"), user.home / _PROGRAMS / "debootsnap"
    out.mkdir()
    shutil.chown(out, user.name, user.name)
    debootsnap.write_text(repaired(_source("debootsnap"), is_limited=is_limited))
    debootsnap.chmod(0o755)
    run = user.run(
        ["debrebuild", f"--buildresult={out}", f"--builder={BUILDER}", str(user.home / _BUILDINFO)],
        variables=(f"PATH={debootsnap.parent}:{PATH}",),
        within=enclosure.entering(),
    )
    if run.status:
        raise LeftOut(f"debrebuild ended with {run.status}: {last_line(run.errors or run.output)}")
    return Rebuilt(wall_s=run.wall_s, made={each.name: digest_of(each).hex for each in out.glob("*.deb")})


def _source(name: str) -> str:
    return Path(shutil.which(name) or name).read_text()


def _rows(package: str, ours: Beginnings, slow: Rebuilt, fast: Rebuilt) -> list[Row]:
    cases = (
        (ours.bare, "bare", "nothing cached"),
        (ours.cold, "cold", "base image there"),
        (ours.warm, "warm", "environment prepared"),
    )
    return [
        Row(
            what=f"{name} verify of {package}, {beginning}",
            command=f"rebuilder verify deb:{SUITE}/{package}",
            ours_s=verified.run.wall_s,
            theirs="debrebuild on a local snapshot, its limit of 1 MB/s taken out",
            theirs_s=fast.wall_s,
            goal="faster",
            holds=verified.run.wall_s < fast.wall_s,
            note=_note(verified, slow, fast),
        )
        for verified, name, beginning in cases
    ]


def _note(ours: Verified, slow: Rebuilt, fast: Rebuilt) -> str:
    seconds = ours.run.wall_s
    same = all(made.made.get(name) == digest for made in (slow, fast) for name, digest in ours.rebuilt.items())
    return (
        f"{fast.wall_s / seconds:.1f} times as fast as `debrebuild --buildresult=OUT --builder={BUILDER} X.buildinfo`, "
        f"and {slow.wall_s / seconds:.1f} times as fast as it is ({slow.wall_s:.0f} s, for its debootsnap downloads at "
        f"most 1 MB/s); it downloads from this machine and we from a mirror; it keeps nothing between runs; 2.23 runs "
        f"with the repairs in bench/debrebuild.py; {'the same' if same else 'other'} .debs"
    )
