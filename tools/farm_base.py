"""The system that the farm's images start from, where no image registry is at hand.

Debian bookworm with the packages of deploy/packages, by mmdebstrap from the archive that this machine's apt is
configured for, apt verifying every file; loaded into the engine as `rebuilder/farm-base`. Made again when that list
changes.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.sources import KEYRING, archives

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "deploy" / "packages"
SUITE = "bookworm"
IMAGE = "rebuilder/farm-base"
LABEL = "rebuilder.packages"


def packages() -> list[str]:
    """Read the list."""
    return [line.strip() for line in LIST.read_text().splitlines() if line.strip() and not line.startswith("#")]


def wanted() -> str:
    """Name what an image must have been made of."""
    return hashlib.sha256("\n".join([SUITE, *packages()]).encode()).hexdigest()


def make(engine: str) -> int:
    """Make the image unless that engine has it; 0 when it has, 4 when it cannot be made."""
    if present(engine) == wanted():
        return 0
    for site in archives():
        with tempfile.TemporaryDirectory(prefix="farm-base-") as name:
            tar = Path(name) / "base.tar"
            print(f"farm: bootstrapping {IMAGE} ({SUITE}, {len(packages())} packages; about two minutes)", flush=True)
            if subprocess.run(command(site, tar), check=False, stdin=subprocess.DEVNULL).returncode == 0:
                change = ("--change", f"LABEL rebuilder=farm {LABEL}={wanted()}")
                words = ["docker", "--host", engine, "import", *change, str(tar), IMAGE]
                subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
                return 0
    print(f"farm: no configured archive gave a {SUITE}; name an image with FARM_BASE=…", file=sys.stderr)
    return 4


def command(site: str, tar: Path) -> list[str]:
    """What runs. Documentation is left out: nobody reads it there."""
    return [
        "mmdebstrap",
        "--quiet",
        "--variant=apt",
        f"--include={','.join(packages())}",
        '--aptopt=Acquire::Languages "none"',
        "--dpkgopt=force-unsafe-io",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        SUITE,
        str(tar),
        f"deb [signed-by={KEYRING}] {site} {SUITE} main",
    ]


def present(engine: str) -> str:
    """Say what the image that an engine has was made of; nothing when there is none."""
    form = f'{{{{index .Config.Labels "{LABEL}"}}}}'
    words = ["docker", "--host", engine, "image", "inspect", "--format", form, IMAGE]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
