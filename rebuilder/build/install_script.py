"""What runs in the container that becomes a prepared environment: apt, offline, from a directory.

Nothing that apt needs to know is written into the tree: its configuration, lists, caches and logs are in memory. What
is not part of an environment is taken away again: logs, caches that differ from run to run, `-old` copies. The times
of everything that the installation made are set to the base image's and a machine id is made a constant, so that the
day and the machine of preparation do not show in them. Two preparations of one environment may differ all the same
(cjson's had three trees in a day, libyaml-syck-perl's had one): an image is compared with itself, never with another.
man-db's index of manual pages is left out the way build daemons do it (debian bug #554914): by its debconf question.
`force-unsafe-io` leaves out fsync, which a throw-away container does not need. None of it changes a package's files.
"""

from __future__ import annotations

from rebuilder.model.digest import Digest

CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETGID", "SETUID")
"""What dpkg and maintainer scripts need. Without FSETID, setgid bits of foreign groups are lost silently (chage,
expiry, ssh-agent); SETFCAP, MKNOD, SYS_CHROOT and others of an engine's defaults made no difference to the tree."""

BEFORE, AFTER = b"== before", b"== after"
"""Lines that precede the two lists of installed packages on standard output."""

APT_CONFIGURATION = """\
APT::Get::Assume-Yes "true";
APT::Get::allow-downgrades "true";
APT::Get::Remove "false";
APT::Install-Recommends "false";
APT::Install-Suggests "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::sourcelist "/input/sources.list";
Dir::State "/tmp/apt/state";
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache "/tmp/apt/cache";
Dir::Log "/tmp/apt/log";
Dpkg::Use-Pty "false";
DPkg::Options { "--force-unsafe-io"; "--log=/tmp/apt/dpkg.log"; };
"""

SOURCES = "deb [trusted=yes] file:/input/repo ./\n"
"""Trusted: every byte of it was verified by the host before it was put there."""

SCRIPT = """\
set -euf
umask 022
export DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true APT_CONFIG=/input/apt.conf
export APT_LISTCHANGES_FRONTEND=none NEEDRESTART_SUSPEND=1 HOME=/root
exec 3>&1 1>&2
installed() { dpkg-query -W -f '${Package} ${Version} ${Architecture} ${db:Status-Abbrev}\\n' >&3; }
echo '== before' >&3
installed
mkdir -p /tmp/apt/state/lists/partial /tmp/apt/cache/archives/partial /tmp/apt/log
touch -d "@$(($(date +%s) - 1))" /tmp/apt/start
printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
if grep -q '^man-db[:=]' /input/packages && command -v debconf-set-selections >/dev/null; then
    echo 'man-db man-db/auto-update boolean false' | debconf-set-selections
fi
apt-get -q=2 update
apt-get -q=2 install $(cat /input/packages)
rm -f /usr/sbin/policy-rc.d
{
    find /var/log /var/cache/man /var/cache/ldconfig /var/cache/apt /var/lib/apt/lists -type f -print0
    find /var/lib/dpkg /var/cache/debconf -maxdepth 1 -name '*-old' -print0
    find /etc -maxdepth 1 -type f '(' -name passwd- -o -name group- -o -name shadow- -o -name gshadow- ')' -print0
} 2>/dev/null | xargs -0r rm -f
if [ -s /etc/machine-id ]; then echo 72656275696c64657272656275696c64 >/etc/machine-id; fi
echo '== after' >&3
installed
mounts="-path /dev -o -path /input -o -path /proc -o -path /run -o -path /sys -o -path /tmp -o -path /var/tmp"
find / -xdev "(" $mounts ")" -prune -o -newer /tmp/apt/start -print0 | xargs -0r touch -h -d "@$EPOCH"
"""

INSTALLER = f"apt/{Digest.of((SCRIPT + APT_CONFIGURATION + SOURCES).encode()).short}"
"""Name and version of this installer, part of every prepared environment's key."""
