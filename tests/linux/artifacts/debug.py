# SPDX-License-Identifier: Apache-2.0
"""A Linux 6.12 that looks for faults itself: order of locks, KASAN, allocations that fail on demand.

Its virtio_mmio is the module of guest-patches/, so that a change of the driver does not build the
kernel anew. The kernel takes two to three times as long as a plain one.
"""

import os
import shutil

from . import kernels
from .cache import cached, command, digest, digest_file, read

VERSION = "6.12"
FRAGMENTS = [os.path.join(kernels.HERE, "config", n) for n in ("common", "debug")]


def compile_kernel(out):
    tree = kernels.unpack(VERSION, out)
    kernels.configure(tree, FRAGMENTS)
    kernels.make(tree, f"{VERSION}-debug", os.path.join(out, "build.log"), "bzImage", "modules")
    command(["make", "-C", tree, "run-command",
             f"KBUILD_RUN_COMMAND=scripts/package/install-extmod-build {out}/headers"])
    command(["strip", "-s", "-o", f"{out}/vmlinux", f"{tree}/vmlinux"])
    for name, built in (("bzImage", "arch/x86/boot/bzImage"), ("config", ".config")):
        shutil.copyfile(os.path.join(tree, built), os.path.join(out, name))
    shutil.rmtree(tree)


def build():
    """The directory with vmlinux, bzImage and headers/ for modules."""
    name = digest(digest_file(kernels.tarball(VERSION)), *map(read, FRAGMENTS),
                  read(__file__), command(["gcc", "--version"]))
    return cached("kernel-debug", f"{VERSION}-{name}", compile_kernel)
