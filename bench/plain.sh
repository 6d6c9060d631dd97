# What a person does by hand in a container: update, source, build-dep, build. Prints the seconds of each phase.
# $1 is the package; the sources.list arrives on standard input.
set -e
cat >/etc/apt/sources.list
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
now() { date +%s.%N; }
t0=$(now)
apt-get -q update >/dev/null 2>&1
t1=$(now)
mkdir -p /build/reproducible-path
cd /build/reproducible-path
apt-get -q source --download-only "$1" >/dev/null 2>&1
t2=$(now)
apt-get -qy --no-install-recommends build-dep "$1" >/dev/null 2>&1
t3=$(now)
dpkg-source --no-check -x ./*.dsc >/dev/null 2>&1
cd ./*/
t4=$(now)
DEB_BUILD_OPTIONS="parallel=$(nproc) nocheck" dpkg-buildpackage -us -uc -b >/dev/null 2>&1
t5=$(now)
echo "phases $t0 $t1 $t2 $t3 $t4 $t5"
cd ..
sha256sum ./*.deb
