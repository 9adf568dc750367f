# SPDX-License-Identifier: Apache-2.0
"""Tiny guest kernels, built from Debian's linux-source packages and guest-patches/.

The configuration is allnoconfig plus the fragments in config/; an option of a fragment that does
not make it into the .config is an error, not a surprise in a test.
"""

import glob
import os
import re
import shutil
import subprocess
import time

from .cache import BuildError, cache_dir, cached, command, digest, digest_file, read, say

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PATCHES = os.path.join(os.path.dirname(os.path.dirname(HERE)), "guest-patches")
VERSIONS = ("6.1", "6.12")
# Large parts that the tiny configuration never compiles; their Kconfig files and Makefiles stay.
NOT_NEEDED = ("Documentation/*/*", "drivers/gpu/*.[chS]", "drivers/media/*.[chS]",
              "drivers/net/ethernet/*.[chS]", "drivers/net/wireless/*.[chS]",
              "drivers/staging/*.[chS]", "drivers/infiniband/*.[chS]", "drivers/scsi/*.[chS]",
              "sound/*.[chS]", "tools/testing/*", "tools/perf/*")
PROGRESS_EVERY = 10


def tarball(version):
    path = f"/usr/src/linux-source-{version}.tar.xz"
    if not os.path.exists(path):
        raise BuildError(f"{path} is missing (package linux-source-{version})")
    return path


def patches(version):
    found = sorted(glob.glob(f"{PATCHES}/linux-{version}/*.patch"))
    if not found:
        raise BuildError(f"guest-patches/linux-{version} has no patches")
    return found


def fragments(patched):
    names = ("common", "patched") if patched else ("common",)
    return [os.path.join(HERE, "config", n) for n in names]


def key(version, patched):
    series = patches(version) if patched else []
    return digest(digest_file(tarball(version)), *map(read, fragments(patched) + series),
                  read(__file__), command(["gcc", "--version"]))


def unpack(version, into):
    say(f"kernel {version}: unpacking the source")
    exclude = [f"--exclude=linux-source-{version}/{p}" for p in NOT_NEEDED]
    command(["tar", "-xf", tarball(version), "-C", into, "--wildcards", *exclude])
    return os.path.join(into, f"linux-source-{version}")


def configure(tree, files):
    """Later files change what earlier ones say."""
    merged = os.path.join(tree, "mimsy.config")
    text = b"".join(map(read, files)).decode()
    with open(merged, "w", encoding="ascii") as f:
        f.write(text)
    command(["make", "-C", tree, f"KCONFIG_ALLCONFIG={merged}", "allnoconfig"])
    got = set(read(os.path.join(tree, ".config")).decode().splitlines())
    wanted = dict(re.findall(r"^(?:# )?(CONFIG_\w+)(=.*| is not set)$", text, re.M))
    lost = [k + v for k, v in wanted.items() if v[0] == "=" and k + v not in got]
    if lost:
        raise BuildError(f"the kernel's configuration does not take {', '.join(lost)}")


def make(tree, version, log, *targets):
    """Runs make with a progress line every few seconds; its output goes to the file log."""
    env = dict(os.environ, LC_ALL="C", KBUILD_BUILD_USER="mimsy", KBUILD_BUILD_HOST="mimsy",
               KBUILD_BUILD_TIMESTAMP="2000-01-01")
    argv = ["make", "-C", tree, f"-j{os.cpu_count()}", *targets]
    start = shown = time.monotonic()
    with open(log, "wb") as out, \
         subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=out,
                          stderr=subprocess.STDOUT) as p:
        try:
            while p.poll() is None:
                time.sleep(0.2)
                if time.monotonic() - shown >= PROGRESS_EVERY:
                    shown = time.monotonic()
                    done = len(re.findall(rb"^  (?:CC|AS) ", read(log), re.M))
                    say(f"kernel {version}: {done} files compiled, {shown - start:.0f} s")
        finally:
            p.terminate()
    if p.returncode:
        raise BuildError(f"kernel {version} does not build:\n"
                         + read(log).decode(errors="replace")[-3000:])
    say(f"kernel {version}: built in {time.monotonic() - start:.0f} s")


def compile_kernel(version, patched, out):
    tree = unpack(version, out)
    for patch in patches(version) if patched else []:
        command(["patch", "-d", tree, "-p1", "-s", "-F0", "-i", patch])
    configure(tree, fragments(patched))
    make(tree, version, os.path.join(out, "build.log"), "bzImage")
    command(["strip", "-s", "-o", f"{out}/vmlinux", f"{tree}/vmlinux"])
    for name, built in (("bzImage", "arch/x86/boot/bzImage"), ("config", ".config")):
        shutil.copyfile(os.path.join(tree, built), os.path.join(out, name))
    shutil.rmtree(tree)


def directory_name(version, patched):
    return f"{version}-{'patched' if patched else 'stock'}-{key(version, patched)}"


def path(version, patched=True):
    return os.path.join(cache_dir("kernel"), directory_name(version, patched))


def build(version, patched=True):
    """The directory with vmlinux (stripped, with its PVH note), bzImage and config."""
    return cached("kernel", directory_name(version, patched),
                  lambda out: compile_kernel(version, patched, out))
