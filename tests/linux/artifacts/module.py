# SPDX-License-Identifier: Apache-2.0
"""The guest driver of guest-patches/module, built against the headers of a stock kernel."""

import glob
import os
import shutil

from . import stock
from .cache import BuildError, cached, command, digest, read, say

HERE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
SOURCE = os.path.join(HERE, "guest-patches", "module")


def release(version):
    return read(os.path.join(stock.build(version), "release")).decode().strip()


def headers(version):
    """Headers of the very release that boots; those of another one would not load."""
    path = "/usr/src/linux-headers-" + release(version)
    if not os.path.isdir(path):
        raise BuildError(f"{path} is missing (package linux-headers-{release(version)})")
    return path


def build(version):
    """The path of virtio_mmio's replacement for Debian's cloud kernel of that version."""
    tree = headers(version)
    files = sorted(f for f in glob.glob(SOURCE + "/**", recursive=True) if os.path.isfile(f))
    name = digest(tree, *(os.path.relpath(f, SOURCE) for f in files), *map(read, files))

    def make(out):
        say(f"guest driver: building it for Linux {release(version)}")
        work = os.path.join(out, "build")
        shutil.copytree(SOURCE, work)
        command(["make", "-C", tree, "M=" + work, "modules"])
        built = glob.glob(work + "/*.ko")
        if len(built) != 1:
            raise BuildError(f"guest driver: {len(built)} modules were built, not one")
        shutil.move(built[0], out + "/virtio_mmio.ko")
        shutil.rmtree(work)
    return cached("module", name, make) + "/virtio_mmio.ko"
