# SPDX-License-Identifier: Apache-2.0
"""The guest's initramfs: static busybox, guestio, init; by request modules of a stock kernel, and a
kernel to kexec into. Uncompressed: unpacking costs more in an emulated guest than reading."""

import glob
import os
import shutil
import stat
import sys

from . import stock
from .cache import BuildError, cached, command, digest, read

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.dirname(HERE))
from testbed import cpio  # noqa: E402  pylint: disable=wrong-import-position

GUEST = os.path.join(HERE, "guest")
CFLAGS = ("-std=gnu11", "-Os", "-s", "-static", "-Wall", "-Wextra", "-Wshadow", "-Wvla", "-Wundef",
          "-Wstrict-prototypes", "-Wmissing-prototypes", "-Wimplicit-fallthrough", "-Wcast-qual",
          "-Werror")
# Of a stock kernel; what they need comes along, virtio_mmio may be replaced by ours.
MODULES = ("virtio_mmio", "virtio_blk", "virtio_net", "af_packet", "ext4", "crc32c_generic", "button",
           "evdev")


def guestio():
    """The path of the static helper program; it runs outside of a guest as well."""
    sources = sorted(glob.glob(GUEST + "/*.c"))
    headers = sorted(glob.glob(GUEST + "/*.h"))
    cc = os.environ.get("CC", "gcc")
    name = digest(*map(read, sources + headers), *CFLAGS, command([cc, "--version"]))
    return cached("guestio", name, lambda out: command(
        [cc, *CFLAGS, *sources, "-o", out + "/guestio"])) + "/guestio"


def busybox():
    path = shutil.which("busybox", path="/bin:/usr/bin:/usr/local/bin")
    if not path or b"/ld-linux" in read(path)[:4096]:
        raise BuildError("no static busybox (package busybox-static)")
    return path


def write_base(a):
    for d in ("bin", "dev", "proc", "sys", "tmp", "mnt", "etc", "lib/modules", "boot"):
        a.directory(d)
    a.device("dev/console", stat.S_IFCHR | 0o600, 5, 1)
    a.device("dev/null", stat.S_IFCHR | 0o666, 1, 3)
    a.file("bin/busybox", read(busybox()), 0o755)
    for applet in command([busybox(), "--list"]).decode().split():
        if applet != "busybox":
            a.symlink("bin/" + applet, "busybox")
    a.file("bin/guestio", read(guestio()), 0o755)
    a.file("init", read(GUEST + "/init"), 0o755)
    a.file("lib/tests.sh", read(GUEST + "/tests.sh"), 0o644)


def write_modules(a, tree, replaced):
    files = stock.module_files(tree, MODULES)
    load = []
    for file in files:
        name = stock.module_name(file)
        data = read(replaced[name]) if name in replaced else stock.module_data(file)
        a.file(f"lib/modules/{name}.ko", data, 0o644)
        load.append(f"{name}.ko\n")
    a.file("etc/modules", "".join(load).encode(), 0o644)


def build(stock_version=None, module=None, kexec=None, aside=()):
    """The path of an initrd: with the modules of the stock kernel of that version, virtio_mmio from
    the file module if it is given, or that one alone; with the bzImage kexec and the plain initrd in
    /boot; with further modules, which are not loaded, aside."""
    own = [read(__file__), read(cpio.__file__), read(busybox()), read(guestio()),
           read(GUEST + "/init"), read(GUEST + "/tests.sh")]
    tree = os.path.join(stock.modules(stock_version), "modules") if stock_version else ""
    own += [tree, read(module) if module else "", read(kexec) if kexec else "",
            *map(read, aside)]
    plain = read(build()) if kexec else None

    def write(out):
        with open(out + "/initrd", "wb") as f:
            a = cpio.Writer(f)
            write_base(a)
            if tree:
                write_modules(a, tree, {"virtio_mmio": module} if module else {})
            elif module:
                a.file("lib/modules/virtio_mmio.ko", read(module), 0o644)
                a.file("etc/modules", b"virtio_mmio.ko\n", 0o644)
            for file in aside:
                a.file("lib/modules/" + os.path.basename(file), read(file), 0o644)
            if kexec:
                a.file("boot/bzImage", read(kexec), 0o644)
                a.file("boot/initrd", plain, 0o644)
            a.close()
    return cached("initramfs", digest(*own), write) + "/initrd"
