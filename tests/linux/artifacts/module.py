# SPDX-License-Identifier: Apache-2.0
"""guest-patches/module built for Debian's stock cloud kernels, against their linux-headers."""

import glob
import os
import shutil

from . import kernels, stock
from .cache import BuildError, cached, command, digest, read

SOURCE = os.path.join(kernels.PATCHES, "module")


def release(version):
    return read(os.path.join(stock.build(version), "release")).decode().strip()


def headers(version):
    path = f"/usr/src/linux-headers-{release(version)}"
    if not os.path.isdir(path):
        raise BuildError(f"{path} is missing (package linux-headers-{release(version)})")
    return path


def compile_module(version, out):
    build = os.path.join(out, "build")
    shutil.copytree(SOURCE, build)
    command(["make", "-C", build, f"KDIR={headers(version)}"])
    shutil.copyfile(build + "/virtio-mmio.ko", out + "/virtio-mmio.ko")
    shutil.rmtree(build)


def build(version):
    """The path of virtio-mmio.ko for the stock kernel of that version."""
    if not os.path.isdir(SOURCE):
        raise BuildError("guest-patches/module is missing")
    files = sorted(f for f in glob.glob(SOURCE + "/**/*", recursive=True)
                   if f.endswith((".c", ".h", "Kbuild", "Makefile")))
    name = f"{release(version)}-{digest(*map(read, files), read(__file__))}"
    return cached("module", name, lambda out: compile_module(version, out)) + "/virtio-mmio.ko"
