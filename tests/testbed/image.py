# SPDX-License-Identifier: Apache-2.0
"""The L1 machine's kernel and initramfs, built from Debian packages and cached.

The kernel package is fetched with apt and unpacked, not installed. The
initramfs holds busybox, the agent and the modules in the order of their
dependencies. Both are kept in the cache, keyed by everything they are made of.
"""

import contextlib
import fcntl
import glob
import hashlib
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile

from . import cpio

HERE = os.path.dirname(os.path.abspath(__file__))
META_PACKAGE = "linux-image-cloud-amd64"
MODULES = ("virtio_pci", "virtio_console", "virtio_blk", "kvm-amd", "tun", "tap", "vhost_net",
           "bridge", "brd", "null_blk", "loop")
# Present in L1, but loaded by whoever needs them: brd and null_blk create devices when loaded.
NOT_LOADED = ("brd", "null_blk", "loop")
SCRIPTS = ("l1-init", "l1-mkscratch")
CFLAGS = ("-std=gnu11", "-O2", "-static", "-Wall", "-Wextra")


class ImageError(Exception):
    """The L1 image cannot be built; the text names what is missing."""


def say(text):
    print(f"testbed: {text}", file=sys.stderr, flush=True)


def cache_dir(*parts):
    base = os.environ.get("MIMSY_CACHE")
    if not base:
        home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        base = os.path.join(home, "mimsy")
    path = os.path.join(base, "testbed", *parts)
    os.makedirs(path, exist_ok=True)
    return path


@contextlib.contextmanager
def cache_lock():
    with open(os.path.join(cache_dir(), "lock"), "w", encoding="ascii") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def command(argv, **kw):
    """Runs argv without input; its output, or an ImageError with what it said."""
    try:
        r = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True, check=False, **kw)
    except FileNotFoundError:
        raise ImageError(f"{argv[0]} is not installed") from None
    if r.returncode:
        raise ImageError(f"{' '.join(argv)}: {r.stderr.strip() or r.stdout.strip()}")
    return r.stdout


# ---- kernel ----

def kernel_package():
    out = command(["apt-cache", "depends", META_PACKAGE])
    m = re.search(r"Depends: (linux-image-\S+-cloud-amd64)", out)
    if not m:
        raise ImageError(f"apt knows no {META_PACKAGE}; run: apt-get update")
    return m.group(1)


def apt_update():
    say("the package lists are missing or stale, running apt-get update")
    command(([] if os.geteuid() == 0 else ["sudo", "-n"]) + ["apt-get", "update"])


def download_kernel(into):
    """The .deb file of the newest cloud kernel, in the directory into."""
    for attempt in (1, 2):
        try:
            package = kernel_package()
            say(f"fetching {package}")
            command(["apt-get", "download", package], cwd=into)
            return glob.glob(os.path.join(into, "*.deb"))[0]
        except (ImageError, IndexError) as e:
            if attempt == 2:
                raise ImageError(f"cannot fetch the L1 kernel: {e}") from None
            apt_update()
    return None


def fetch_kernel(kernels):
    """Unpacks the kernel package under kernels and returns its directory."""
    with tempfile.TemporaryDirectory(dir=kernels) as tmp:
        deb = download_kernel(tmp)
        name = os.path.basename(deb)[:-len(".deb")]
        root = os.path.join(tmp, "root")
        command(["dpkg-deb", "-x", deb, root])
        release = os.listdir(os.path.join(root, "lib/modules"))[0]
        depmod = shutil.which("depmod") or "/usr/sbin/depmod"
        command([depmod, "-b", root, release])
        final = os.path.join(kernels, name)
        if not os.path.isdir(final):
            os.rename(root, final)
    return final


def kernel(refresh=False):
    """The directory of the unpacked kernel package, the newest one that the cache has."""
    kernels = cache_dir("kernel")
    with cache_lock():
        known = [d for d in glob.glob(kernels + "/linux-image-*") if os.path.isdir(d)]
        if known and not refresh:
            return max(known, key=os.path.getmtime)
        return fetch_kernel(kernels)


# ---- modules ----

def module_name(path):
    return os.path.basename(path).split(".ko")[0].replace("-", "_")


def read_modules_dep(moddir):
    """name -> (path, paths of its dependencies in the order to load them)."""
    deps = {}
    with open(os.path.join(moddir, "modules.dep"), encoding="ascii") as f:
        for line in f:
            path, _, rest = line.partition(":")
            deps[module_name(path)] = (path, rest.split()[::-1])
    return deps


def read_builtin(moddir):
    with open(os.path.join(moddir, "modules.builtin"), encoding="ascii") as f:
        return {module_name(line.strip()) for line in f}


def resolve_modules(moddir, names):
    """The paths of the modules and all they need, dependencies first, built-in ones left out."""
    deps, builtin, out = read_modules_dep(moddir), read_builtin(moddir), []
    for name in (n.replace("-", "_") for n in names):
        if name in deps:
            path, needs = deps[name]
            out += [p for p in needs + [path] if p not in out]
        elif name not in builtin:
            raise ImageError(f"the L1 kernel has no module {name}")
    return out


# ---- initramfs ----

def read(path):
    with open(path, "rb") as f:
        return f.read()


def digest(*parts):
    """A short name for the bytes and strings given, in their order."""
    h = hashlib.sha256()
    for p in parts:
        data = p.encode() if isinstance(p, str) else p
        h.update(len(data).to_bytes(8, "little") + data)
    return h.hexdigest()[:24]


@contextlib.contextmanager
def new_file(path):
    """A temporary path that becomes path at the end: others see all of the file or nothing."""
    fd, tmp = tempfile.mkstemp(dir=os.path.dirname(path))
    os.close(fd)
    try:
        yield tmp
        os.chmod(tmp, 0o755)
        os.rename(tmp, path)
    except BaseException:
        os.unlink(tmp)
        raise


def build_program(name):
    """agent or kvmprobe, compiled statically; cached by its sources and the compiler."""
    cc = os.environ.get("CC", "gcc")
    files = sorted(glob.glob(os.path.join(HERE, name, "*.[ch]")))
    key = digest(*(read(f) for f in files), command([cc, "--version"]), *CFLAGS)
    out = os.path.join(cache_dir("bin"), f"{name}-{key}")
    if not os.path.exists(out):
        with new_file(out) as tmp:
            command([cc, *CFLAGS, "-o", tmp, *(f for f in files if f.endswith(".c"))])
    return out


def busybox():
    path = shutil.which("busybox", path="/bin:/usr/bin:/usr/local/bin")
    if not path:
        raise ImageError("busybox is not installed (package busybox-static)")
    if b"/ld-linux" in read(path)[:4096]:
        raise ImageError(f"{path} is not static (package busybox-static)")
    return path


def write_initramfs(out, moddir, names, agent, bb):
    release = os.path.basename(moddir)
    paths = resolve_modules(moddir, names)
    load = [module_name(p) for p in resolve_modules(
        moddir, [n for n in names if n not in NOT_LOADED])]
    with open(out, "wb") as f:
        a = cpio.Writer(f)
        for d in ("usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "usr/share", "etc", "proc",
                  "sys", "dev", "tmp", "run", "root", "mnt", "var/tmp"):
            a.directory(d)
        for d in ("bin", "sbin", "lib", "lib64"):
            a.symlink(d, "usr/" + d)
        a.device("dev/console", stat.S_IFCHR | 0o600, 5, 1)
        a.file("usr/bin/busybox", read(bb), 0o755)
        for applet in command([bb, "--list"]).split():
            if applet != "busybox":
                a.symlink("usr/bin/" + applet, "busybox")
        a.file("init", read(os.path.join(HERE, "l1-init")), 0o755)
        a.file("usr/bin/mkscratch", read(os.path.join(HERE, "l1-mkscratch")), 0o755)
        a.file("usr/sbin/testbed-agent", read(agent), 0o755)
        a.file("etc/modules", "\n".join(load).encode() + b"\n", 0o644)
        a.file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n", 0o644)
        a.file("etc/group", b"root:x:0:\nkvm:x:104:\n", 0o644)
        base = f"usr/lib/modules/{release}/"
        for p in paths:
            a.file(base + p, read(os.path.join(moddir, p)), 0o644)
        with open(os.path.join(moddir, "modules.dep"), encoding="ascii") as dep:
            keep = [line for line in dep if line.split(":")[0] in paths]
        a.file(base + "modules.dep", "".join(keep).encode(), 0o644)
        a.close()


def build(extra_modules=(), refresh=False):
    """(kernel image, initramfs, kernel release), built unless the cache has them."""
    root = kernel(refresh)
    moddir = glob.glob(os.path.join(root, "lib/modules/*"))[0]
    names = MODULES + tuple(m for m in extra_modules if m not in MODULES)
    agent, bb = build_program("agent"), busybox()
    key = digest(os.path.basename(root), *names, *(read(os.path.join(HERE, n)) for n in SCRIPTS),
                 read(agent), read(bb), read(__file__), read(cpio.__file__))
    out = os.path.join(cache_dir("initramfs"), key + ".cpio")
    if not os.path.exists(out):
        with new_file(out) as tmp:
            write_initramfs(tmp, moddir, names, agent, bb)
    return glob.glob(os.path.join(root, "boot/vmlinuz-*"))[0], out, os.path.basename(moddir)
