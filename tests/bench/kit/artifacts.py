# SPDX-License-Identifier: Apache-2.0
"""What the bench boots and runs: guest kernel, initramfs, the programs of guest/ and meter/; cached."""

import glob
import os
import shutil
import stat
import sys

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TESTS = os.path.dirname(HERE)
sys.path[:0] = [TESTS, os.path.join(TESTS, "linux")]
from artifacts import kernels  # noqa: E402
from artifacts.cache import cached, command, digest, digest_file, read  # noqa: E402
from testbed import cpio  # noqa: E402

VERSION = "6.12"
FRAGMENT = os.path.join(HERE, "kernel.config")
CFLAGS = ("-std=gnu11", "-s", "-static", "-Wall", "-Wextra", "-Wshadow", "-Wvla", "-Wundef",
          "-Wstrict-prototypes", "-Wmissing-prototypes", "-Wimplicit-fallthrough", "-Wcast-qual",
          "-Werror")


def program(name, *flags):
    """The static program built from a directory of ours."""
    sources = sorted(glob.glob(os.path.join(HERE, name, "*.c")))
    headers = sorted(glob.glob(os.path.join(HERE, name, "*.h")))
    cc = os.environ.get("CC", "gcc")
    key = digest(*map(read, sources + headers), *CFLAGS, *flags, command([cc, "--version"]))
    return os.path.join(cached("bench-" + name, key, lambda out: command(
        [cc, *CFLAGS, *flags, *sources, "-o", os.path.join(out, name)])), name)


def benchio():
    return program("guest", "-Os")


def meter():
    return program("meter", "-O2")


def initramfs():
    """benchio as /init, nothing else: all monitors load the same megabyte."""
    def write(out):
        with open(out + "/initrd", "wb") as f:
            a = cpio.Writer(f)
            for d in ("dev", "proc"):
                a.directory(d)
            a.device("dev/console", stat.S_IFCHR | 0o600, 5, 1)
            a.file("init", read(benchio()), 0o755)
            a.close()
    key = digest(read(benchio()), read(cpio.__file__), read(__file__))
    return cached("bench-initramfs", key, write) + "/initrd"


def compile_kernel(out):
    tree = kernels.unpack(VERSION, out)
    for patch in kernels.patches(VERSION):
        command(["patch", "-d", tree, "-p1", "-s", "-F0", "-i", patch])
    merged = os.path.join(tree, "bench.config")
    with open(merged, "wb") as f:
        f.write(b"".join(map(read, [*kernels.fragments(True), FRAGMENT])))
    command(["make", "-C", tree, f"KCONFIG_ALLCONFIG={merged}", "allnoconfig"])
    kernels.make(tree, VERSION, os.path.join(out, "build.log"))
    command(["strip", "-s", "-o", f"{out}/vmlinux", f"{tree}/vmlinux"])
    shutil.copyfile(f"{tree}/.config", f"{out}/config")
    shutil.rmtree(tree)


def kernel():
    """The tiny patched guest kernel with virtio over PCI as well, so that one serves all."""
    key = digest(digest_file(kernels.tarball(VERSION)), *map(read, kernels.patches(VERSION)),
                 *map(read, [*kernels.fragments(True), FRAGMENT]), command(["gcc", "--version"]))
    return cached("bench-kernel", f"{VERSION}-{key}", compile_kernel) + "/vmlinux"


def tiny_kernel():
    """That of tests/linux: enough for mimsy alone."""
    return os.path.join(kernels.build(VERSION), "vmlinux")
