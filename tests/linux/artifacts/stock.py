# SPDX-License-Identifier: Apache-2.0
"""Debian's own kernels: fetched with apt, unpacked, not installed. The cloud kernels 6.1 and 6.12 with
their modules; of others, that are only started and ended, the image alone."""

import glob
import io
import lzma
import os
import re
import shutil
import struct
import subprocess
import tarfile
import zlib

from .cache import BuildError, cache_dir, cached, command, read, say

META_PACKAGES = {"6.1": "linux-image-cloud-amd64", "6.12": "linux-image-6.12-cloud-amd64",
                 "generic": "linux-image-amd64", "rt": "linux-image-rt-amd64",
                 "newest": "linux-image-cloud-amd64"}
WITH_MODULES = ("6.1", "6.12")
# Where the newest kernel comes from; the machine's own sources know nothing of them.
SUITES = ("sid", "experimental")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# Where a bzImage says what it holds: Documentation/arch/x86/boot.rst.
SETUP_SECTS, HEADER_MAGIC, PAYLOAD_OFFSET = 0x1f1, 0x202, 0x248


def mirror():
    """The address from which this machine has its Debian."""
    sites = command(["apt-get", "indextargets", "--format", "$(REPO_URI) $(CREATED_BY)"]).decode()
    for line in sites.splitlines():
        uri, _, kind = line.partition(" ")
        if kind == "Packages" and uri.rstrip("/").endswith("/debian"):
            return uri
    raise BuildError("apt knows no mirror of Debian")


def private_apt():
    """Options for an apt with lists of its own."""
    where = cache_dir("apt")
    for d in ("lists/partial", "archives/partial"):
        os.makedirs(os.path.join(where, d), exist_ok=True)
    sources = os.path.join(where, "sources.list")
    with open(sources, "w", encoding="ascii") as f:
        for suite in SUITES:
            print(f"deb [signed-by={KEYRING}] {mirror()} {suite} main", file=f)
    options = {"Dir::Etc::SourceList": sources, "Dir::Etc::SourceParts": "/dev/null",
               "Dir::State::Lists": where + "/lists", "Dir::Cache": where,
               "Acquire::Languages": "none", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled":
               "false", "APT::Sandbox::User": "root"}
    return [f"-o{name}={value}" for name, value in options.items()]


def apt(version):
    return private_apt() if version == "newest" else []


def apt_update(version):
    say("stock kernel: the package lists are missing or stale, running apt-get update")
    root = [] if version == "newest" or os.geteuid() == 0 else ["sudo", "-n"]
    command([*root, "apt-get", *apt(version), "update"])


def package(version):
    """Name and version of the image package that the meta package stands for."""
    meta = META_PACKAGES[version]
    # Of several versions the highest comes first; one that is not installed by default counts too.
    show = ["apt-cache", *apt(version), "show", meta]
    if version != "newest":
        show.insert(-1, "--no-all-versions")
    for attempt in (1, 2):
        out = command(show) if attempt == 2 else \
            subprocess.run(show, check=False, stdin=subprocess.DEVNULL, capture_output=True).stdout
        m = re.search(rb"(linux-image-\d\S+) \(= (\S+)\)", out)
        if m:
            return m.group(1).decode(), m.group(2).decode()
        if attempt == 1:
            apt_update(version)
    raise BuildError(f"apt knows no {meta}")


def download(kernel, name, version, into):
    """The package file; from apt's own cache if it is there."""
    deb = f"{name}_{version.replace(':', '%3a')}_amd64.deb"
    have = os.path.join("/var/cache/apt/archives", deb)
    if os.path.exists(have):
        return have
    say(f"stock kernel: fetching {name} {version}")
    fetch = ["apt-get", *apt(kernel), "download", f"{name}={version}"]
    try:
        command(fetch, cwd=into)
    except BuildError:
        apt_update(kernel)
        command(fetch, cwd=into)
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


def unpack_image(deb, out):
    """Of a package of a hundred megabytes, the kernel alone. False if it has none."""
    tar = command(["dpkg-deb", "--fsys-tarfile", deb])
    with tarfile.open(fileobj=io.BytesIO(tar)) as t:
        name = next((n for n in t.getnames() if "/vmlinuz" in n), None)
        if not name:
            return False
        with open(out + "/bzImage", "wb") as f:
            f.write(t.extractfile(name).read())
    return True


def unpack(kernel, name, version, out):
    deb = download(kernel, name, version, out)
    if kernel not in WITH_MODULES:
        if not unpack_image(deb, out):      # since 7.3 it is in a package of its own
            os.unlink(deb)
            deb = download(kernel, name.replace("-image-", "-binary-"), version, out)
            if not unpack_image(deb, out):
                raise BuildError(f"{name} has no kernel")
    else:
        unpack_all(deb, out)
    for left in glob.glob(out + "/*.deb"):
        os.unlink(left)


def unpack_all(deb, out):
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


def build(version):
    """The directory with bzImage; if it is of WITH_MODULES also with vmlinux, release and modules/
    (the tree under /lib/modules)."""
    name, deb_version = package(version)
    where = f"{name}_{deb_version}"
    return cached("stock-kernel", where, lambda out: unpack(version, name, deb_version, out))


def unpack_modules(name, version, out):
    """Since 7.3 the modules are in a package of their own, under /usr/lib."""
    deb = download("newest", name, version, out)
    command(["dpkg-deb", "-x", deb, out + "/usr"])
    os.rename(out + "/usr/usr/lib", out + "/lib")
    release = os.listdir(out + "/lib/modules")[0]
    depmod = shutil.which("depmod") or "/sbin/depmod"
    command([depmod, "-b", out, release])
    os.rename(f"{out}/lib/modules/{release}", out + "/modules")
    with open(out + "/release", "w", encoding="ascii") as f:
        f.write(release + "\n")
    for left in (out + "/usr", out + "/lib"):
        shutil.rmtree(left)
    os.unlink(deb)


def modules(version):
    """The directory with release and modules/ of a kernel of WITH_MODULES, or of the newest."""
    if version in WITH_MODULES:
        return build(version)
    name, deb_version = package(version)
    name = name.replace("-image-", "-modules-")
    return cached("stock-modules", f"{name}_{deb_version}",
                  lambda out: unpack_modules(name, deb_version, out))


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
    listed = os.path.join(tree, "modules.builtin")
    builtin = set(map(module_name, read(listed).decode().split())) if os.path.exists(listed) else names
    for name in names:
        if name in deps:
            file, needs = deps[name]
            out += [f for f in needs + [file] if f not in out]
        elif name not in builtin:
            raise BuildError(f"{tree} has no module {name}")
    return [os.path.join(tree, f) for f in out]


def module_data(file):
    return lzma.decompress(read(file)) if file.endswith(".xz") else read(file)
