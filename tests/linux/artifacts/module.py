# SPDX-License-Identifier: Apache-2.0
"""guest-patches/module, and a test's module, built for Debian's stock cloud kernels against their
linux-headers, or for the kernel that looks for faults ("debug")."""

import glob
import os
import shutil

from . import debug, headers, kernels, stock
from .cache import BuildError, cached, command, digest, read

SOURCE = os.path.join(kernels.PATCHES, "module")
REFUSE = os.path.join(kernels.HERE, "guest", "refuse")


def headers_of(version):
    if version == "debug":
        where = debug.build()
        return headers.Headers(os.path.basename(where), os.path.join(where, "headers"), [])
    if version == "newest":
        return headers.newest()
    release = read(os.path.join(stock.build(version), "release")).decode().strip()
    path = f"/usr/src/linux-headers-{release}"
    if not os.path.isdir(path):
        raise BuildError(f"{path} is missing (package linux-headers-{release})")
    return headers.Headers(release, path, [])


def compile_module(source, name, hdr, out):
    build = os.path.join(out, "build")
    shutil.copytree(source, build)
    command(["make", "-C", hdr.path, f"M={build}", *hdr.options, "modules"])
    shutil.copyfile(f"{build}/{name}.ko", f"{out}/{name}.ko")
    shutil.rmtree(build)


def build(version, source=SOURCE, name="virtio-mmio"):
    """The path of virtio-mmio.ko for that kernel."""
    if not os.path.isdir(source):
        raise BuildError(f"{source} is missing")
    files = sorted(f for f in glob.glob(source + "/**/*", recursive=True)
                   if f.endswith((".c", ".h", "Kbuild", "Makefile")))
    hdr = headers_of(version)
    key = f"{hdr.release}-{name}-{digest(*map(read, files), read(__file__))}"
    return cached("module", key, lambda out: compile_module(source, name, hdr, out)) + \
        f"/{name}.ko"


def build_refuse(version):
    """The path of refuse.ko, which makes messages that a device refuses."""
    return build(version, REFUSE, "refuse")
