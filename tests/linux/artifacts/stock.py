# SPDX-License-Identifier: Apache-2.0
"""Debian's own cloud kernels 6.1 and 6.12: fetched with apt, unpacked, not installed."""

import glob
import lzma
import os
import re
import shutil
import struct
import subprocess
import zlib

from .cache import BuildError, cache_dir, cached, command, read, say

META_PACKAGES = {"6.1": "linux-image-cloud-amd64", "6.12": "linux-image-6.12-cloud-amd64"}
# Where a bzImage says what it holds: Documentation/arch/x86/boot.rst.
SETUP_SECTS, HEADER_MAGIC, PAYLOAD_OFFSET = 0x1f1, 0x202, 0x248


def apt_update():
    say("stock kernel: the package lists are missing or stale, running apt-get update")
    command(([] if os.geteuid() == 0 else ["sudo", "-n"]) + ["apt-get", "update"])


def package(version):
    """Name and version of the image package that the meta package stands for."""
    meta = META_PACKAGES[version]
    for attempt in (1, 2):
        out = command(["apt-cache", "show", "--no-all-versions", meta]) if attempt == 2 else \
            subprocess.run(["apt-cache", "show", "--no-all-versions", meta], check=False,
                           stdin=subprocess.DEVNULL, capture_output=True).stdout
        m = re.search(rb"(linux-image-\S+-cloud-amd64) \(= (\S+)\)", out)
        if m:
            return m.group(1).decode(), m.group(2).decode()
        if attempt == 1:
            apt_update()
    raise BuildError(f"apt knows no {meta}")


def download(name, version, into):
    """The package file; from apt's own cache if it is there."""
    deb = f"{name}_{version.replace(':', '%3a')}_amd64.deb"
    have = os.path.join("/var/cache/apt/archives", deb)
    if os.path.exists(have):
        return have
    say(f"stock kernel: fetching {name} {version}")
    try:
        command(["apt-get", "download", f"{name}={version}"], cwd=into)
    except BuildError:
        apt_update()
        command(["apt-get", "download", f"{name}={version}"], cwd=into)
    return glob.glob(into + "/*.deb")[0]


def filtered(argv, data):
    """Output of a decompressor; what follows the compressed stream makes it complain, so what."""
    try:
        return subprocess.run(argv, input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              check=False).stdout
    except FileNotFoundError:
        raise BuildError(f"{argv[0]} is not installed") from None


def decompress(data):
    """The payload of a bzImage, whose last four bytes are its length unpacked."""
    if data[:4] == b"\x02\x21\x4c\x18":
        return filtered(["lz4", "-dc", "-"], data[:-4])
    if data[:6] == b"\xfd7zXZ\0":
        return lzma.LZMADecompressor().decompress(data)
    if data[:4] == b"\x28\xb5\x2f\xfd":
        return filtered(["zstd", "-dc"], data[:-4])
    if data[:2] == b"\x1f\x8b":
        return zlib.decompressobj(31).decompress(data)
    raise BuildError(f"unknown compression of a kernel, it starts with {data[:6].hex()}")


def extract_vmlinux(bzimage):
    """The ELF file inside a bzImage."""
    data = read(bzimage)
    if data[HEADER_MAGIC:HEADER_MAGIC + 4] != b"HdrS":
        raise BuildError(f"{bzimage} is no bzImage")
    start = (data[SETUP_SECTS] + 1) * 512 + struct.unpack_from("<I", data, PAYLOAD_OFFSET)[0]
    length = struct.unpack_from("<I", data, PAYLOAD_OFFSET + 4)[0]
    elf = decompress(data[start:start + length])
    if elf[:4] != b"\x7fELF":
        raise BuildError(f"{bzimage} holds no ELF file")
    return elf


def unpack(name, version, out):
    deb = download(name, version, out)
    command(["dpkg-deb", "-x", deb, os.path.join(out, "root")])
    modules = glob.glob(out + "/root/lib/modules/*")[0]
    depmod = shutil.which("depmod") or "/sbin/depmod"
    command([depmod, "-b", out + "/root", os.path.basename(modules)])
    os.rename(modules, out + "/modules")
    os.rename(glob.glob(out + "/root/boot/vmlinuz-*")[0], out + "/bzImage")
    with open(out + "/release", "w", encoding="ascii") as f:
        f.write(os.path.basename(modules) + "\n")
    with open(out + "/vmlinux", "wb") as f:
        f.write(extract_vmlinux(out + "/bzImage"))
    shutil.rmtree(out + "/root")
    for left in glob.glob(out + "/*.deb"):
        os.unlink(left)


def build(version):
    """The directory with bzImage, vmlinux, release and modules/ (the tree under /lib/modules)."""
    name, deb_version = package(version)
    where = f"{name}_{deb_version}"
    return cached("stock-kernel", where, lambda out: unpack(name, deb_version, out))


def path(version):
    return os.path.join(cache_dir("stock-kernel"), "_".join(package(version)))


def module_name(file):
    return os.path.basename(file).split(".ko")[0].replace("-", "_")


def module_files(tree, names):
    """Files of the named modules and all they need, in the order to load, without built-in ones."""
    deps, out = {}, []
    for line in read(os.path.join(tree, "modules.dep")).decode().splitlines():
        file, _, needs = line.partition(":")
        deps[module_name(file)] = (file, needs.split()[::-1])
    builtin = set(map(module_name, read(os.path.join(tree, "modules.builtin")).decode().split()))
    for name in names:
        if name in deps:
            file, needs = deps[name]
            out += [f for f in needs + [file] if f not in out]
        elif name not in builtin:
            raise BuildError(f"{tree} has no module {name}")
    return [os.path.join(tree, f) for f in out]


def module_data(file):
    return lzma.decompress(read(file)) if file.endswith(".xz") else read(file)
