# SPDX-License-Identifier: Apache-2.0
"""Who may include whom, and what belongs to one place only."""

import fnmatch
import os
import re

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')

# A file belongs to the first layer whose folder it is in; a layer may include these.
LAYERS = [
    ("vmm/base/", {"vmm/base/"}),
    ("devices/", {"vmm/base/", "devices/"}),
    ("firmware/", {"vmm/base/", "firmware/"}),
    ("vmm/", {"vmm/base/", "devices/", "firmware/", "vmm/"}),
]

# Where a library or an interface of the kernel may be used. Tests may use all of them.
PLACES = {
    "libfdt.h": ["firmware/devtree*.c"],
    "cap-ng.h": ["vmm/sandbox*.c"],
    "seccomp.h": ["vmm/sandbox*.c", "vmm/filters/*.c"],
    "linux/kvm.h": ["vmm/kvm.c", "vmm/vcpu.c", "vmm/msi.c", "vmm/stats.c", "vmm/arch/*.c",
                    "vmm/filters/*.c"],
    "liburing.h": ["devices/block/blk_uring*.c"],
    "jansson.h": ["vmm/stats.c", "vmm/vm_open.c"],
    "linux/vhost.h": ["devices/net/*vhost*.c", "vmm/filters/*.c"],
    "linux/if_tun.h": ["devices/net/tap*.c", "vmm/filters/*.c"],
}

# The level of the log, where it goes and what of it was lost, and what signal handlers need: who
# is to be told of the end, the terminal to give back, and in whose system call filter the thread runs.
STATE = {("vmm/base/log.c", "log_threshold"), ("vmm/base/log.c", "log_fd"),
         ("vmm/base/log.c", "log_socket"), ("vmm/base/log.c", "log_lost"),
         ("vmm/console.c", "terminal"), ("vmm/stop.c", "stop"),
         ("vmm/sandbox.c", "thread_role")}
# In the process that becomes the jail, nobody is left to return to; nor for whoever ends what hangs.
ENDERS = ["vmm/main.c", "vmm/stop.c", "vmm/sandbox*.c", "vmm/filters/gen.c"]


def includes(tree, name):
    for nr, line in enumerate(tree.lines(name), 1):
        m = INCLUDE.match(line)
        if m:
            yield nr, m[1], m[2]


def layer_of(name):
    return next((folder for folder, _ in LAYERS if name.startswith(folder)), None)


def no_dotdot(tree):
    for f in tree.c_files():
        for nr, _, header in includes(tree, f):
            if "../" in header:
                yield f"{f}:{nr}: {header}"


def downward_only(tree):
    home = {os.path.basename(f): layer_of(f) for f in tree.files
            if f.endswith(".h") and layer_of(f)}
    allowed = dict(LAYERS)
    for f in tree.c_files("vmm/", "devices/", "firmware/"):
        for nr, quote, header in includes(tree, f):
            target = home.get(os.path.basename(header)) if quote == '"' else None
            if target and target not in allowed[layer_of(f)]:
                yield f"{f}:{nr}: {header} is of {target}"


def library_places(tree):
    for f in tree.c_files("vmm/", "devices/", "firmware/"):
        for nr, _, header in includes(tree, f):
            places = PLACES.get(header)
            if places and not any(fnmatch.fnmatch(f, p) for p in places):
                yield f"{f}:{nr}: {header} belongs to {' '.join(places)}"


def no_exit(tree):
    call = re.compile(r"(?<![\w.>])_?(exit|abort|errx?|_Exit|quick_exit)\(")
    for f in tree.c_files("vmm/", "devices/", "firmware/"):
        if any(fnmatch.fnmatch(f, p) for p in ENDERS):
            continue
        for nr, line in enumerate(tree.lines(f), 1):
            if call.search(line):
                yield f"{f}:{nr}: {line.strip()}"


def no_state(tree):
    """File-scope variables as ctags sees them, unless they are constant."""
    files = [f for f in tree.c_files("vmm/", "devices/", "firmware/") if f.endswith(".c")]
    out = tree.run(["ctags", "-f", "-", "--fields=n", "--excmd=number", "--kinds-C=v", *files])
    for line in out.splitlines():
        if line.startswith("!"):
            continue
        name, f, where = line.split("\t")[:3]
        nr = int(where.split(";")[0])
        declaration = tree.lines(f)[nr - 1]
        if "const" not in declaration and (f, name) not in STATE and \
           not declaration.startswith("}"):
            yield f"{f}:{nr}: {declaration.strip()}"
