# SPDX-License-Identifier: Apache-2.0
"""Puts a peer monitor, QEMU, into a bed: program, libraries and ROMs.

QEMU looks for its ROMs in ../share/qemu as seen from its own directory. Debian
links many of them from other packages, so links are resolved.
"""

import glob
import os
import shutil

from .bed import BedError

ROMS = ("bios-256k.bin", "bios-microvm.bin", "qboot.rom", "kvmvapic.bin", "linuxboot.bin",
        "linuxboot_dma.bin", "multiboot.bin", "multiboot_dma.bin", "pvh.bin", "efi-virtio.rom",
        "vgabios-stdvga.bin")
DIRS = ("/usr/share/qemu", "/usr/share/seabios", "/usr/lib/ipxe/qemu")


def put_qemu(bed):
    """qemu-system-x86_64 with -accel kvm, microvm, q35 and virtio in the bed."""
    qemu = shutil.which("qemu-system-x86_64")
    if not qemu:
        raise BedError("qemu-system-x86_64 is not installed (package qemu-system-x86)")
    bed.put(qemu, "/usr/bin/qemu-system-x86_64")
    for rom in ROMS:
        found = [p for d in DIRS for p in glob.glob(os.path.join(d, rom))]
        if found:
            bed.put(os.path.realpath(found[0]), "/usr/share/qemu/" + rom)
