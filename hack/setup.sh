#!/usr/bin/env bash
# Installs the Debian packages that the lab and the tests use, if they are missing. Says what it installs, and installs nothing else.
. "$(dirname "$0")/env.sh"

# package:a file that it brings, so that a machine that has it by another way is left alone
wanted=(
  "e2fsprogs:/usr/sbin/mkfs.ext4"
  "xfsprogs:/usr/sbin/mkfs.xfs /sbin/mkfs.xfs"
  "iproute2:/usr/sbin/ip /sbin/ip /usr/bin/ip"
  "util-linux:/usr/bin/nsenter"
  "mount:/usr/bin/mount /bin/mount"
  "curl:/usr/bin/curl"
  "procps:/usr/bin/ps /bin/ps"
  "iputils-ping:/usr/bin/ping /bin/ping"
  "resource-agents:/usr/lib/ocf/resource.d/heartbeat/Dummy"
  "containerd:/usr/bin/containerd"
  "runc:/usr/sbin/runc /usr/bin/runc"
  "busybox-static:/usr/share/doc/busybox-static" # what the tests' images are made of, and a DHCP client; the package busybox is not static
  "fence-agents:/usr/sbin/fence_dummy"
  "ipmitool:/usr/bin/ipmitool"
  "openipmi:/usr/bin/ipmi_sim"
  "pacemaker-cli-utils:/usr/sbin/crm_simulate" # to compare placements with
  "bind9:/usr/sbin/named" # network names; tests run a server of their own, on addresses of their own
  "ca-certificates:/etc/ssl/certs/ca-certificates.crt"
  # services for the cluster to run; none of these packages starts one by itself
  "apache2-bin:/usr/sbin/apache2"
  "dnsmasq-base:/usr/sbin/dnsmasq"
  "rsync:/usr/bin/rsync"
  "postgresql:/usr/lib/postgresql/*/bin/postgres"
  # the emulated guest: building it and running it
  "qemu-system-x86:/usr/bin/qemu-system-x86_64"
  "cpio:/usr/bin/cpio /bin/cpio"
  "kmod:/usr/sbin/depmod /sbin/depmod"
)
missing=()
for entry in "${wanted[@]}"; do
  found=no
  for file in ${entry#*:}; do [ -e "$file" ] && found=yes; done
  [ $found = yes ] || missing+=("${entry%%:*}")
done
command -v go >/dev/null || fail "Go is not installed: install Go 1.26.6 or newer and put it on the PATH"
if [ ${#missing[@]} -eq 0 ]; then exit 0; fi
command -v apt-get >/dev/null || fail "missing packages: ${missing[*]}; this is not a Debian-like machine, install them by hand"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || fail "missing packages: ${missing[*]}; run as root, or install sudo"
  as_root=(sudo)
fi
say "installing Debian packages: ${missing[*]}"
# The package postgresql would make a database and start it, at every boot from then on.
if [[ " ${missing[*]} " == *" postgresql "* ]]; then
  "${as_root[@]}" install -d /etc/postgresql-common/createcluster.d
  echo 'create_main_cluster = false' | "${as_root[@]}" tee /etc/postgresql-common/createcluster.d/quorate.conf >/dev/null
fi
"${as_root[@]}" apt-get update -q >/dev/null || fail "apt-get update failed: is the package mirror reachable?"
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null ||
  fail "apt-get install ${missing[*]} failed"
# On a machine with systemd some packages start a server, now and at every boot. Tests run their own, so those that came just now are switched off.
if [ -d /run/systemd/system ]; then
  for entry in bind9:named containerd:containerd rsync:rsync; do
    if [[ " ${missing[*]} " == *" ${entry%%:*} "* ]]; then
      "${as_root[@]}" systemctl disable --now "${entry##*:}.service" >/dev/null 2>&1 || say "${entry##*:}.service could not be switched off"
    fi
  done
fi
