#!/usr/bin/env bash
# setup.sh ARCH: makes the virtual machine of the hardware-in-the-loop tests, amd64 or arm64, and prints its directory,
# which holds `kernel`, `initramfs.cpio` and `version`. Progress goes to standard error. What is fetched and built stays
# in the cache, MILLRACE_HIL_CACHE or ${XDG_CACHE_HOME:-~/.cache}/millrace/hil, by kernel version: made once, found again
# at once. MILLRACE_HIL_REFRESH=1 asks for a newer kernel first. Nothing of the kernel is installed on the host.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
arch=${1:?usage: setup.sh amd64|arm64}
cache=${MILLRACE_HIL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/millrace/hil}

# What the tests need of the kernel, without what these depend on. The last three Debian does not build.
modules="virtio_pci 9p 9pnet_virtio virtio_net virtio_blk ext4 crc32c_generic vivid uvcvideo vhci-hcd snd-aloop v4l2-mem2mem vim2m vicodec"

say() { echo "hil: $*" >&2; }
die() {
	say "$*"
	exit 1
}

# step TEXT COMMAND…: runs it with a line of progress; what it printed is shown only where it failed.
step() {
	local start=$SECONDS text=$1 log
	log=$(mktemp)
	shift
	"$@" >"$log" 2>&1 & # a function called in a condition would go on after an error
	wait $! || {
		tail -n 30 "$log" >&2
		rm -f "$log"
		die "$text: failed; the last words are above"
	}
	rm -f "$log"
	say "$text: $((SECONDS - start)) s"
}

# install PACKAGE…: those that the host lacks.
install_missing() {
	local p missing=""
	for p; do
		[ "$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null || true)" = installed ] || missing="$missing $p"
	done
	[ -n "$missing" ] || return 0
	[ "$(id -u)" = 0 ] ||
		die "missing:$missing. Only root may install them; run: sudo apt-get update && sudo apt-get install --no-install-recommends$missing"
	export DEBIAN_FRONTEND=noninteractive
	step "package lists" apt-get update -qq
	step "installing$missing" apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=600 $missing
}

# private APT-PROGRAM …: with lists of our own, so that the host's stay as they are and no root is needed.
private() {
	mkdir -p "$cache/apt/lists/partial" "$cache/apt/archives/partial"
	"$@" -o Dir::State::lists="$cache/apt/lists" -o Dir::Cache="$cache/apt" -o APT::Architectures::="$host" \
		-o APT::Architectures::="$arch" -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=3
}

# lists takes the failure of one source for none: whether the kernel is among the others shows at once.
lists() { private apt-get update -qq -o Debug::NoLocking=1 || true; }

# resolve sets name and version of the current kernel. Security updates rename it.
resolve() {
	name=$(private apt-cache depends "linux-image-$arch:$arch" 2>/dev/null | sed -n 's/.*Depends: linux-image-\([0-9][^: ]*\).*/\1/p' | head -1)
	[ -n "$name" ] || die "apt knows no kernel linux-image-$arch: this must be Debian, with a mirror that it reaches"
	version=$(private apt-cache policy "linux-image-$name:$arch" | sed -n 's/ *Candidate: //p')
	short=$(cut -d. -f1-2 <<<"$name")
}

# fetch downloads the kernel, its headers, its source and busybox, and unpacks all but the source into root/.
fetch() {
	local p
	rm -rf debs root
	mkdir -p debs root
	(cd debs && private apt-get download -qq "linux-image-$name:$arch=$version" "linux-headers-$name:$arch=$version" \
		"linux-headers-${name%-*}-common=$version" "linux-kbuild-$short:$host=$version" "linux-source-$short=$version" \
		"busybox-static:$arch")
	for p in debs/*.deb; do
		case $p in *linux-source*) ;; *) dpkg -x "$p" root ;; esac
	done
}

# build makes the modules that Debian leaves out, from Debian's source against Debian's headers.
build() {
	local m headers=$PWD/root/usr/src/linux-headers-$name media=linux-source-$short/drivers/media
	sed -i "s#^include /usr/src#include $PWD/root/usr/src#" "$headers/Makefile"
	dpkg --fsys-tarfile debs/linux-source-*.deb | tar -xO "./usr/src/linux-source-$short.tar.xz" | xz -dT0 |
		tar -x "$media/v4l2-core/v4l2-mem2mem.c" "$media/test-drivers/vicodec" "$media/test-drivers/vim2m.c"
	mkdir -p build
	cp "$media"/v4l2-core/v4l2-mem2mem.c "$media"/test-drivers/vim2m.c "$media"/test-drivers/vicodec/*.[ch] build/
	cat >build/Makefile <<-'MAKE'
		obj-m += v4l2-mem2mem.o vim2m.o vicodec.o
		vicodec-objs := vicodec-core.o codec-fwht.o codec-v4l2-fwht.o
	MAKE
	make -s -C "$headers" M="$PWD/build" ARCH="$kernel_arch" CROSS_COMPILE="$cross" modules -j"$(nproc)"
	mkdir -p "$tree/extra"
	for m in v4l2-mem2mem vim2m vicodec; do
		"${cross}strip" --strip-debug -o "$tree/extra/$m.ko" "build/$m.ko"
	done
	find "$tree" -name '*.ko.xz' -exec xz -d {} +
	PATH=$PATH:/usr/sbin:/sbin depmod -b root "$name"
}

# bare writes the kernel without its boot loader's decompressor, which is what an emulator runs slowest. Where it
# lies in the image: setup_sects, payload_offset and payload_length of the x86 boot protocol.
bare() {
	local image=root/boot/vmlinuz-$name at size
	field() { od -An -j "$1" -N "$2" -t "u$2" "$image" | tr -d ' '; }
	if [ "$arch" != amd64 ]; then
		gzip -dc "$image" >kernel 2>/dev/null || cp "$image" kernel
		return
	fi
	at=$((($(field 497 1) + 1) * 512 + $(field 584 4))) size=$(($(field 588 4) - 4)) # the last four bytes are a length
	dd if="$image" of=payload iflag=skip_bytes,count_bytes skip="$at" count="$size" bs=1M status=none
	case $(od -An -N 2 -t x1 payload | tr -d ' ') in
	fd37) xz -dc payload >kernel ;;
	28b5) zstd -dc payload >kernel ;;
	1f8b) gzip -dc payload >kernel ;;
	*) echo "$image: its compression is unknown" && return 1 ;;
	esac
	rm payload
}

# pack makes the initramfs: busybox, init, and each module with what modules.dep says that it needs.
pack() {
	local m line out=$PWD/initramfs.cpio image
	image=$(mktemp -d)
	mkdir -p "$image"/{bin,dev,disk,host,proc,sys,tmp} "$image/lib/modules/$name"
	cp root/bin/busybox "$image/bin/"
	install -m 755 "$here/init" "$image/init"
	for m in $modules; do
		line=$(grep -E "/${m//[-_]/[-_]}\.ko:" "$tree/modules.dep") || { echo "kernel $name has no module $m" && return 1; }
		tr -d : <<<"$line" | tr ' ' '\n'
	done | sort -u >needed
	(cd "$tree" && cp --parents $(cat "$OLDPWD/needed") "$image/lib/modules/$name/")
	grep -F -f <(sed 's/$/:/' needed) "$tree/modules.dep" >"$image/lib/modules/$name/modules.dep"
	(cd "$image" && find . | cpio -o -H newc --quiet) >"$out"
	rm -rf "$image" needed
}

command -v apt-get >/dev/null && command -v dpkg >/dev/null || die "no apt: the machine is made from Debian's packages, so this must run on Debian"
host=$(dpkg --print-architecture)
case $arch in
amd64) kernel_arch=x86 gnu=x86_64-linux-gnu qemu=qemu-system-x86 ;;
arm64) kernel_arch=arm64 gnu=aarch64-linux-gnu qemu=qemu-system-arm ;;
*) die "ARCH=$arch: amd64 or arm64" ;;
esac
cross="" compilers="gcc libc6-dev"
if [ "$arch" != "$host" ]; then
	cross=$gnu- compilers="gcc gcc-$gnu libc6-dev-$arch-cross"
fi
install_missing "$qemu" cpio ffmpeg e2fsprogs $compilers

mkdir -p "$cache/$arch"
exec 9>"$cache/$arch/lock"
flock 9 # two checkouts share the cache
dir=$(dirname "$(ls "$cache/$arch"/*/version 2>/dev/null | head -1)")
if [ "$dir" = . ] || [ -n "${MILLRACE_HIL_REFRESH:-}" ]; then
	step "Debian's package lists" lists
	resolve
	dir=$cache/$arch/$name.$version
fi
mkdir -p "$dir"
cd "$dir"
if [ -e version ]; then
	read -r name version <version
	short=$(cut -d. -f1-2 <<<"$name")
else
	say "machine $arch: kernel $name, version $version, in $dir"
	step "fetching kernel, headers and source" fetch
	compiler=$(sed -n 's/.*\(gcc-[0-9]*\)$/\1/p' "root/usr/src/linux-headers-$name/.kernelvariables" | head -1)
	install_missing make xz-utils zstd libelf1 kmod "$compiler${cross:+-$gnu}"
fi
tree=root/lib/modules/$name
[ -d "$tree" ] || tree=root/usr/$tree
if [ ! -e version ]; then
	step "building vicodec and vim2m" build
	step "unpacking the kernel" bare
	rm -rf debs build linux-source-* root/usr/src root/usr/share root/boot
fi
made=$(cat "$here/setup.sh" "$here/init" | sha256sum)
if [ "$(cat initramfs.made 2>/dev/null || true)" != "$made" ]; then
	step "packing the initramfs" pack
	echo "$made" >initramfs.made
fi
echo "$name $version" >version
find "$cache/$arch" -mindepth 1 -maxdepth 1 -type d ! -path "$dir" -exec rm -rf {} + # older kernels, what was broken off
echo "$dir"
