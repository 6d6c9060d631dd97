"""Which package archives this machine's apt is configured for: no address is written down in this tree."""

from __future__ import annotations

import subprocess

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def archives() -> list[str]:
    """List the addresses, without those of security updates, which carry no whole suite."""
    done = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE)"], capture_output=True, text=True, check=False, timeout=60
    )
    found = dict.fromkeys(line.strip().rstrip("/") for line in done.stdout.splitlines() if line.strip())
    return [site for site in found if "security" not in site]
