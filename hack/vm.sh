#!/usr/bin/env bash
# Builds the emulated guest once: Debian's kernel with the modules of hack/vm/modules, and a root file system of the packages of
# hack/vm/packages. Links it as bin/vm. Nothing of it comes from this machine's own kernel or packages, so the same guest runs
# everywhere. The first build downloads about 140 MB and takes about a minute; later ones take no time.
. "$(dirname "$0")/env.sh"

recipe="$ROOT/hack/vm"
key="$(cat "$0" "$recipe"/* | sha256sum | cut -c1-16)"
out="$TOOL_CACHE/$key/vm"
if [ -e "$out/complete" ]; then
  mkdir -p "$BIN"
  ln -sfn "$out" "$BIN/vm"
  exit 0
fi

for tool in apt-get apt-cache dpkg-deb cpio depmod modprobe mkfs.ext4; do
  command -v "$tool" >/dev/null || PATH="$PATH:/usr/sbin:/sbin" command -v "$tool" >/dev/null ||
    fail "$tool is missing: run hack/setup.sh first (the guest is made of Debian's packages, so it needs a Debian-like machine)"
done
PATH="$PATH:/usr/sbin:/sbin"
say "building the emulated guest (once; kept in $TOOL_CACHE)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# Packages are resolved against an empty machine, so that everything comes along, and nothing of this machine is touched.
: >"$work/status"
mkdir -p "$work/archives/partial"
apt() { apt-get -q -o "Dir::State::status=$work/status" -o "Dir::Cache::archives=$work/archives" -o APT::Sandbox::User=root \
  -o Debug::NoLocking=true -o APT::Install-Recommends=false "$@" >"$work/apt.log" 2>&1; }
kernel="$(apt-cache depends linux-image-amd64 2>/dev/null | awk '/Depends: linux-image-/ { print $2; exit }')"
[ -n "$kernel" ] || fail "apt knows no linux-image-amd64: run apt-get update (is this an amd64 Debian?)"
mapfile -t packages < <(sed 's/#.*//' "$recipe/packages" | grep -o '[^ ]*')
apt --download-only -y install "${packages[@]}" || { tail -n 20 "$work/apt.log" >&2; fail "cannot download the guest's packages (try apt-get update)"; }
(cd "$work" && apt download "$kernel") || { tail -n 20 "$work/apt.log" >&2; fail "cannot download $kernel (try apt-get update)"; }

root="$work/root"
mkdir -p "$root/usr/"{bin,sbin,lib,lib64} "$root"/{proc,sys,dev,root,etc,run,tmp,payload,mnt}
for dir in bin sbin lib lib64; do ln -s "usr/$dir" "$root/$dir"; done
for package in "$work"/archives/*.deb; do
  case "$(basename "$package")" in # what the tools depend on for scripts that the guest never runs
  libpython3* | python3* | perl-base* | libicu* | libgnutls* | libldap* | debconf* | dpkg_* | media-types*) continue ;;
  esac
  dpkg-deb --fsys-tarfile "$package" | tar -x --no-same-owner --keep-directory-symlink -C "$root" --exclude='./usr/share/doc*' \
    --exclude='./usr/share/man*' --exclude='./usr/share/locale*' --exclude='./usr/share/info*' --exclude='./usr/share/bash-completion*' \
    --exclude='./usr/lib/udev/hwdb.d*' --exclude='./usr/lib/x86_64-linux-gnu/gconv*' ||
    fail "cannot unpack $(basename "$package")"
done
printf 'root:x:0:0:root:/root:/bin/sh\nstatd:x:100:65534::/:/bin/false\nnobody:x:65534:65534::/:/bin/false\n' >"$root/etc/passwd"
printf 'root:x:0:\ntty:x:5:\ndisk:x:6:\nnogroup:x:65534:\nkmem:x:15:\ninput:x:101:\nsgx:x:102:\nkvm:x:103:\nrender:x:104:\nlp:x:7:\naudio:x:29:\nvideo:x:44:\ncdrom:x:24:\ntape:x:26:\ndialout:x:20:\n' >"$root/etc/group"
printf '127.0.0.1 localhost guest\n' >"$root/etc/hosts"
ln -sf /proc/self/mounts "$root/etc/mtab"
ln -sf dash "$root/bin/sh" # busybox's own shell would put its applets before the real commands
# Busybox stands in for whatever no package brought.
for applet in $("$root/bin/busybox" --list); do
  [ -e "$root/bin/$applet" ] || [ -L "$root/bin/$applet" ] || [ -e "$root/sbin/$applet" ] || [ -L "$root/sbin/$applet" ] || ln -s busybox "$root/bin/$applet"
done
install -m 755 "$recipe/guest-init" "$recipe/guest-payload" "$root/sbin/"
install -D -m 644 "$recipe/guest-payload.service" "$root/etc/systemd/system/guest-payload.service"
# Under systemd: a machine that is not new, and nothing that takes time at the start, or at each reload, and that no test needs.
echo 00000000000000000000000000000001 >"$root/etc/machine-id"
mkdir -p "$root/etc/systemd/system-generators"
for generator in "$root"/usr/lib/systemd/system-generators/*; do
  ln -s /dev/null "$root/etc/systemd/system-generators/$(basename "$generator")"
done
for unit in systemd-{firstboot,binfmt,modules-load,random-seed,repart,sysusers,udev-trigger,udevd,update-utmp,pcrphase,pcrphase-sysinit}.service \
  systemd-{machine-id-commit,journal-flush,tmpfiles-setup-dev}.service systemd-udevd-{control,kernel}.socket systemd-journald-audit.socket \
  systemd-ask-password-console.path proc-sys-fs-binfmt_misc.automount kmod-static-nodes.service; do
  ln -s /dev/null "$root/etc/systemd/system/$unit"
done

# The modules, with everything that they depend on.
dpkg-deb --fsys-tarfile "$work/$kernel"_*.deb | tar -x -C "$work" --one-top-level=kernel ./boot ./lib/modules || fail "cannot unpack $kernel"
version="$(ls "$work/kernel/lib/modules")"
all="$work/kernel/lib/modules/$version"
depmod -b "$work/kernel" "$version"
depends() { modprobe -S "$version" -d "$work/kernel" --show-depends "$1" 2>/dev/null | awk -v all="$all/" '$1 == "insmod" { sub(all, "", $2); print $2 }'; }
while read -r entry; do
  case "$entry" in
  */) find "$all/kernel/$entry" -name '*.ko*' -printf '%f\n' 2>/dev/null | sed 's/\.ko.*//' ;;
  *) echo "$entry" ;;
  esac
done < <(sed 's/#.*//' "$recipe/modules" | grep -o '[^ ]*') | sort -u >"$work/wanted"
while read -r module; do
  depends "$module" >"$work/chain"
  [ -s "$work/chain" ] || grep -q "/$module.ko" "$all/modules.builtin" || fail "$kernel has no module $module: mend hack/vm/modules"
  cat "$work/chain"
done <"$work/wanted" | sort -u >"$work/modules"
while read -r file; do
  install -D -m 644 "$all/$file" "$root/lib/modules/$version/$file"
done <"$work/modules"
cp "$all"/modules.{order,builtin,builtin.modinfo} "$root/lib/modules/$version/"
depmod -b "$root" "$version"

# The initial memory file system only finds the root disk.
first="$work/first"
mkdir -p "$first/bin" "$first/modules"
install -m 755 "$root/bin/busybox" "$first/bin/busybox"
install -m 755 "$recipe/init" "$first/init"
for module in virtio_pci virtio_blk ext4 overlay; do depends "$module"; done | awk '!seen[$0]++' | while read -r file; do
  cp "$all/$file" "$first/modules/"
  basename "$file" >>"$first/modules/order"
done
mkdir -p "$work/out"
(cd "$first" && find . | cpio --quiet -o -H newc -R 0:0 | gzip -1) >"$work/out/initrd.gz"
cp "$work/kernel/boot/vmlinuz-$version" "$work/out/vmlinuz"
size=$(($(du -sm "$root" | cut -f1) * 5 / 4 + 32))
mkfs.ext4 -q -d "$root" -L quorate-guest -O ^has_journal -E root_owner=0:0 "$work/out/root.img" "${size}M" || fail "cannot make the guest's root disk"
(echo "kernel $version"; cd "$work/archives" && ls ./*.deb) >"$work/out/manifest"
touch "$work/out/complete"
mkdir -p "$(dirname "$out")" "$BIN"
rm -rf "$out.tmp.$$"
mv "$work/out" "$out.tmp.$$"
rm -rf "$out" && mv "$out.tmp.$$" "$out"
ln -sfn "$out" "$BIN/vm"
say "the guest runs Linux $version; its root disk takes $(du -m "$out/root.img" | cut -f1) MB"
