"""A tiny base image made from Debian's static busybox, so that a test with a real engine takes about a second.

It has stand-ins for apt-get and dpkg-query, which the install script calls; real ones are used end to end elsewhere.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rebuilder.build import images
from rebuilder.build.cache import PreparedIndex
from rebuilder.build.engine import DockerEngine
from rebuilder.errors import EngineFailure
from rebuilder.model.digest import Digest
from rebuilder.store.blobs import LocalBlobs
from tests.build.factory import BASE_EPOCH

_APT_GET = """\
#!/bin/sh
# install NAME[:ARCH]=VERSION...: note each in a database of lines; some names misbehave.
[ "$2" = install ] || exit 0
shift 2
for item in "$@"; do
    name=${item%%=*} version=${item#*=} arch=all
    case $name in *:*) arch=${name#*:} name=${name%%:*};; esac
    case $name in
        unsatisfiable) echo 'E: Unable to correct problems, you have held broken packages.' >&2; exit 100;;
        broken) echo 'dpkg: error processing package broken (--configure):' >&2; exit 100;;
        greedy) echo 'stowaway 1 all ii' >>/var/lib/installed;;
        half) echo "$name $version $arch iU" >>/var/lib/installed; continue;;
        networked) if [ "$(ls /sys/class/net)" != lo ]; then exit 101; fi;;
    esac
    cat "/input/repo/${name}_${version}_$arch.deb" >"/usr/share/$name" || exit 100
    echo "$name $version $arch ii" >>/var/lib/installed
done
"""
_DPKG_QUERY = "#!/bin/sh\ncat /var/lib/installed\n"
_FILES = {
    "etc/passwd": "root:x:0:0::/root:/bin/sh\nbuilder:x:1000:1000::/nonexistent:/bin/sh\n",
    "etc/group": "root:x:0:\nbuilder:x:1000:\n",
    "var/lib/installed": "base 1 all ii\n",
}
_DIRECTORIES = (
    "bin dev etc input proc root run sbin sys tmp usr usr/bin usr/sbin usr/share "
    "var var/cache var/lib var/lib/dpkg var/log var/tmp"
)
_APPLETS = (
    "sh cat chmod cp date dd df du echo env find grep head id ln ls mkdir mkfifo mknod mv printf rm seq sleep sort "
    "stat tail tar test touch true truncate wc xargs yes nc ping wget ps uname"
)


@pytest.fixture(scope="session")
def busybox(pytestconfig: pytest.Config) -> Path:
    """Take Debian's busybox-static from the machine's own mirror once, and keep it in pytest's cache."""
    assert pytestconfig.cache is not None
    kept = pytestconfig.cache.mkdir("busybox-static")
    binary = next(iter(kept.glob("**/bin/busybox")), None)
    if binary is None:
        subprocess.run(["apt-get", "download", "busybox-static"], cwd=kept, check=True, capture_output=True)
        archive = next(iter(kept.glob("*.deb")))
        subprocess.run(["dpkg-deb", "-x", archive, kept / "tree"], check=True)
        binary = next(iter(kept.glob("**/bin/busybox")))
    return binary


@pytest.fixture(scope="session")
def tiny_rootfs(busybox: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a root file system of busybox, as a tar whose bytes are always the same."""
    path = tmp_path_factory.mktemp("rootfs") / "rootfs.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name in _DIRECTORIES.split():
            sticky = name in {"tmp", "var/tmp"}
            archive.addfile(_entry(name, kind=tarfile.DIRTYPE, mode=0o1777 if sticky else 0o755))
        _add(archive, "bin/busybox", busybox.read_bytes(), mode=0o755)
        _add(archive, "bin/as-root", busybox.read_bytes(), mode=0o4755)
        for applet in _APPLETS.split():
            archive.addfile(_entry(f"bin/{applet}", kind=tarfile.SYMTYPE, link="busybox"))
        archive.addfile(_entry("usr/bin/env", kind=tarfile.SYMTYPE, link="/bin/busybox"))
        for name, content in _FILES.items():
            _add(archive, name, content.encode(), mode=0o644)
        _add(archive, "usr/bin/apt-get", _APT_GET.encode(), mode=0o755)
        _add(archive, "usr/bin/dpkg-query", _DPKG_QUERY.encode(), mode=0o755)
    return path


@pytest.fixture(scope="session")
def engine() -> DockerEngine:
    """Find the machine's container engine."""
    engine = DockerEngine()
    try:
        engine.describe()
    except EngineFailure as error:
        pytest.skip(f"no container engine: {error}")
    return engine


@pytest.fixture(scope="session")
def tiny(engine: DockerEngine, tiny_rootfs: Path) -> Digest:
    """Load the tiny base image; it stays, for its id is always the same."""
    return images.load(engine, tiny_rootfs, architecture="amd64", epoch=BASE_EPOCH)


@pytest.fixture
def index(engine: DockerEngine, tmp_path: Path) -> Iterator[PreparedIndex]:
    """Make an empty index of prepared environments; what a test prepared is removed afterwards."""
    index = PreparedIndex(tmp_path / "prepared", engine)
    yield index
    for record in reversed(index.records()):
        engine.remove_image(record.image)


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    """Make an empty blob store."""
    return LocalBlobs(tmp_path / "blobs")


def _add(archive: tarfile.TarFile, name: str, content: bytes, *, mode: int) -> None:
    entry = _entry(name, mode=mode)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def _entry(name: str, *, kind: bytes = tarfile.REGTYPE, mode: int = 0o777, link: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(f"./{name}")
    entry.type, entry.mode, entry.linkname, entry.mtime = kind, mode, link, BASE_EPOCH
    return entry
