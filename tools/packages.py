"""Install the Debian packages that are missing: `python -m tools.packages NEED…`.

The needs are those of rebuilder/doctor/packages.toml. What cannot be installed is named with its reason and the command
to run; status 4, unless it is only recommended: then the work goes on.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from rebuilder.doctor.packages import Need, Package, load_packages

APT_INSTALL = Path(__file__).with_name("apt-install")


def main(words: list[str]) -> int:
    """Install what is missing of these needs."""
    wanted = {Need(word) for word in words}
    missing = [package for package in load_packages() if package.need in wanted and not package.is_present]
    essential = [package for package in missing if package.need is not Need.RECOMMENDED]
    if not missing or _install(missing):
        return 0
    for package in missing:
        print(f"  {package.name:24} {package.need}: {package.reason}")
    return 4 if essential else 0


def _install(packages: list[Package]) -> bool:
    return subprocess.run([APT_INSTALL, *(package.name for package in packages)], check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
