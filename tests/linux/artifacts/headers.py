# SPDX-License-Identifier: Apache-2.0
"""linux-headers packages that need not be installed: fetched with apt, unpacked in the cache.

Those of this Debian, and those of the newest kernel of any suite. The tools in packages of another
suite get the C library that they were made for, and a compiler that does not know a flag of theirs
does without.
"""

import dataclasses
import functools
import glob
import os
import re
import shutil
import subprocess

from . import stock
from .cache import BuildError, cache_dir, cached, command, digest, read, say

OURS = ("linux-headers-amd64", "linux-headers-cloud-amd64", "linux-headers-rt-amd64",
        "linux-headers-6.12-amd64", "linux-headers-6.12-cloud-amd64", "linux-headers-6.12-rt-amd64")
# What the tools of a newer suite need.
LIBRARIES = ("libc6", "libelf1t64", "zlib1g", "libzstd1")
# A gcc before 14 lacks the flag; what it says is near enough. One before 15 warns of an attribute.
CC = """#!/bin/sh
for a; do
	shift
	case $a in -fmin-function-alignment=*) a=-falign-functions=${a#*=} ;; esac
	set -- "$@" "$a"
done
exec gcc -Wno-attributes "$@"
"""


@dataclasses.dataclass
class Headers:
    release: str
    path: str
    options: list       # for make


def stanzas(kernel, package):
    """All versions of a package that there are: dictionaries of their fields."""
    show = ["apt-cache", *stock.apt(kernel), "show", package]
    try:
        out = command(show).decode()
    except BuildError:
        stock.apt_update(kernel)
        out = command(show).decode()
    return [dict(re.findall(r"^(\S+): (.*)$", s, re.M)) for s in out.split("\n\n") if s.strip()]


def fetch(kernel, names, root):
    where = os.path.join(root, "debs")
    os.makedirs(where)
    download = ["apt-get", *stock.apt(kernel), "download", *names]
    try:
        command(download, cwd=where)
    except BuildError:
        stock.apt_update(kernel)
        command(download, cwd=where)
    for deb in glob.glob(where + "/*.deb"):
        command(["dpkg-deb", "-x", deb, root])
    shutil.rmtree(where)


def newest_first(stanzas):
    def compare(a, b):
        return -1 if not subprocess.run(["dpkg", "--compare-versions", a["Version"], "gt",
                                         b["Version"]], check=False).returncode else 1
    return sorted(stanzas, key=functools.cmp_to_key(compare))


def new_libc(path):
    """Whether a program wants a newer C library than this machine has."""
    with open(path, "rb") as f:
        data = f.read()
    have = int(os.confstr("CS_GNU_LIBC_VERSION").rpartition(".")[2])
    return data[:4] == b"\x7fELF" and \
        any(int(n) > have for n in re.findall(rb"GLIBC_2\.(\d+)", data))


def wrap_tools(root, final):
    """Each such program is started by the loader that came along."""
    libs = final + "/usr/lib/x86_64-linux-gnu"
    for path in glob.glob(root + "/usr/lib/linux-kbuild*/**/*", recursive=True):
        if os.path.islink(path) or not os.path.isfile(path) or not new_libc(path):
            continue
        os.rename(path, path + ".elf")
        write(path, f"#!/bin/sh\nexec {libs}/ld-linux-x86-64.so.2 --library-path {libs} "
                    '"$0.elf" "$@"\n', 0o755)


def write(path, text, mode):
    with open(path, "w", encoding="ascii") as f:
        f.write(text)
    os.chmod(path, mode)


def make_fit(package, root, final):
    """A package of a newer suite, for this machine."""
    wrap_tools(root, final)
    write(root + "/cc", CC, 0o755)
    vmlinux = f"{root}/usr/src/{package}/vmlinux"
    if os.path.exists(vmlinux):     # type information, which wants a newer pahole
        os.unlink(vmlinux)


def unpack(kernel, package, version, root, final):
    say(f"headers: fetching {package}")
    fields = stanzas(kernel, f"{package}={version}")[0]
    names = re.findall(r"linux-(?:headers|kbuild)-[^ ,]+", fields["Depends"])
    names += LIBRARIES if kernel == "newest" else ()
    fetch(kernel, [f"{package}={version}", *names], root)
    makefile = f"{root}/usr/src/{package}/Makefile"
    write(makefile, read(makefile).decode().replace("/usr/src", f"{final}/usr/src"), 0o644)
    if kernel == "newest":
        make_fit(package, root, final)


def get(meta, kernel=""):
    """The headers that the newest version of a meta package stands for. kernel: as in stock.py."""
    stanza = newest_first(stanzas(kernel, meta))[0]
    package = re.search(r"linux-headers-[^ ,]+", stanza["Depends"])[0]
    name = f"{package}_{stanza['Version']}-{digest(read(__file__))}"
    final = os.path.join(cache_dir("headers"), name)
    where = cached("headers", name,
                   lambda root: unpack(kernel, package, stanza["Version"], root, final))
    options = [f"CC={where}/cc"] if kernel == "newest" else []
    return Headers(package[len("linux-headers-"):], f"{where}/usr/src/{package}", options)


def newest():
    return get("linux-headers-cloud-amd64", "newest")
