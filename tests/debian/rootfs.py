# SPDX-License-Identifier: Apache-2.0
"""A whole Debian 12, made with mmdebstrap from the packages that the host's apt knows, and disk
images of it: ext4, an ext4 in a GPT partition, btrfs, xfs. Kept in the cache, named by a hash of
what they are made of."""

import glob
import os
import shutil
import stat
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), os.path.join(os.path.dirname(HERE), "linux")]
# pylint: disable=wrong-import-position
from artifacts.cache import BuildError, cached, command, digest, read, say  # noqa: E402

SUITE = "bookworm"
PACKAGES = ("systemd-sysv", "udev", "dbus", "login", "linux-image-cloud-amd64", "initramfs-tools",
            "zstd", "e2fsprogs", "btrfs-progs", "xfsprogs", "iproute2", "iputils-ping", "procps")
INSTALLER = "debian-installer-12-netboot-amd64"
IMAGE_LEN = "1200M"
PART_START = 1 << 20
HOST_NAME = "whole-debian"
NETWORK = "[Match]\nType=ether\n[Network]\nDHCP=yes\n"
# What a user does to a fresh root: no password for root, DHCP on the network, a line in fstab.
HOOKS = (
    'chroot "$1" passwd -d root',
    f'echo {HOST_NAME} >"$1/etc/hostname"',
    'echo "LABEL=root / auto defaults 0 1" >"$1/etc/fstab"',
    'printf "' + NETWORK.replace("\n", "\\n") + '" >"$1/etc/systemd/network/80-dhcp.network"',
    'chroot "$1" systemctl enable systemd-networkd',
)
WITHOUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")


def as_root():
    return [] if os.geteuid() == 0 else ["sudo", "-n"]


def sources():
    """The host's own lists of packages, so that what apt reaches here is enough."""
    return [f for f in sorted(glob.glob("/etc/apt/sources.list") +
                              glob.glob("/etc/apt/sources.list.d/*"))
            if f.endswith((".list", ".sources")) and os.path.getsize(f)]


def make_root(out):
    say("whole Debian: making a root file system (1 minute)")
    command([*as_root(), "mmdebstrap", "--variant=minbase", "--include=" + ",".join(PACKAGES),
             *(f"--dpkgopt=path-exclude={path}" for path in WITHOUT),
             *(f"--customize-hook={hook}" for hook in HOOKS), SUITE, out + "/root", *sources()])
    for name in ("vmlinuz", "initrd.img"):
        found = glob.glob(f"{out}/root/boot/{name}-*")
        if len(found) != 1:
            raise BuildError(f"the new root has {len(found)} files {name}")
        command([*as_root(), "install", "-m", "644", found[0], f"{out}/{name}"])


def root():
    """The directory with root/, vmlinuz and initrd.img."""
    return cached("debian", digest(SUITE, *PACKAGES, *HOOKS, *WITHOUT), make_root)


def ext4(tree, image):
    command([*as_root(), "mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", tree, image, IMAGE_LEN])


def gpt(tree, image):
    os.truncate(image, int(IMAGE_LEN[:-1]) << 20)
    command(["sh", "-c", f"echo start=2048 | /usr/sbin/sfdisk -q --label gpt '{image}'"])
    command([*as_root(), "mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", tree,
             "-E", f"offset={PART_START}", image, f"{int(IMAGE_LEN[:-1]) - 2}M"])


def btrfs(tree, image):
    os.truncate(image, int(IMAGE_LEN[:-1]) << 20)
    command([*as_root(), "/usr/sbin/mkfs.btrfs", "-q", "-L", "root", "--rootdir", tree, image])


def proto_lines(path):
    """A directory's content as mkfs.xfs -p wants it. A name with blanks cannot be said there."""
    for name in sorted(os.listdir(path)):
        full = os.path.join(path, name)
        st = os.lstat(full)
        kind = {stat.S_IFDIR: "d", stat.S_IFLNK: "l", stat.S_IFCHR: "c", stat.S_IFBLK: "b",
                stat.S_IFIFO: "p", stat.S_IFREG: "-"}.get(stat.S_IFMT(st.st_mode))
        if not kind or any(c.isspace() for c in name):
            continue
        set_id = ("u" if st.st_mode & stat.S_ISUID else "-") + \
                 ("g" if st.st_mode & stat.S_ISGID else "-")
        line = f"{name} {kind}{set_id}{st.st_mode & 0o777:03o} {st.st_uid} {st.st_gid}"
        if kind == "-":
            yield f"{line} {full}"
        elif kind == "l":
            yield f"{line} {os.readlink(full)}"
        elif kind in "cb":
            yield f"{line} {os.major(st.st_rdev)} {os.minor(st.st_rdev)}"
        else:
            yield line
            if kind == "d":
                yield from proto_lines(full)
                yield "$"


def xfs(tree, image):
    os.truncate(image, int(IMAGE_LEN[:-1]) << 20)
    if as_root():
        raise BuildError("an xfs image is made by root only: the tree is read file by file")
    proto = image + ".proto"
    with open(proto, "w", encoding="utf-8") as f:
        f.write("/dev/null\n0 0\nd--755 0 0\n" + "\n".join(proto_lines(tree)) + "\n$\n")
    command(["/usr/sbin/mkfs.xfs", "-q", "-L", "root", "-p", proto, image])
    os.unlink(proto)


FILE_SYSTEMS = {"ext4": ext4, "gpt": gpt, "btrfs": btrfs, "xfs": xfs}


def image(name):
    """The path of the image with that file system."""
    tree = os.path.join(root(), "root")

    def make(out):
        say(f"whole Debian: an image with {name}")
        path = os.path.join(out, "image")
        with open(path, "wb"):
            pass
        FILE_SYSTEMS[name](tree, path)
    return cached("debian-image", f"{name}-{digest(tree, IMAGE_LEN, read(__file__))}", make) + \
        "/image"


def make_installer(out):
    command(["apt-get", "download", INSTALLER], cwd=out)
    deb = glob.glob(out + "/*.deb")[0]
    command(["dpkg-deb", "-x", deb, out + "/tree"])
    found = glob.glob(out + "/tree/usr/lib/debian-installer/images/12/amd64/text/"
                      "debian-installer/amd64")
    for name in ("linux", "initrd.gz"):
        shutil.copy(os.path.join(found[0], name), out)
    shutil.rmtree(out + "/tree")
    os.unlink(deb)


def installer():
    """The directory with linux and initrd.gz of debian-installer's netboot images."""
    return cached("debian-installer", digest(INSTALLER, SUITE), make_installer)
