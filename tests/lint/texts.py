# SPDX-License-Identifier: Apache-2.0
"""Licences, names that must not appear, sizes, blanks, options, scripts."""

import os
import re
import subprocess

MAX_LINES = 600
DRIVER = ("guest-patches/", "tests/linux/guest/refuse/")
# Linux's own file with our changes; it is as long as they made it.
LONG = {"guest-patches/module/virtio_mmio.c", "guest-patches/module/virtio_mmio_msi.c"}


def spdx(tree):
    for f in tree.sources():
        if f.endswith((".json", ".txt")) and os.path.basename(f) != "CMakeLists.txt":
            continue
        head = "\n".join(tree.lines(f)[:3])
        m = re.search(r"SPDX-License-Identifier: ([\w.+-]+)", head)
        wanted = "GPL-2.0" if f.startswith(DRIVER) else "Apache-2.0"
        if not m:
            yield f"{f}: no SPDX-License-Identifier in the first three lines"
        elif not m[1].startswith(wanted):
            yield f"{f}: {m[1]}, not {wanted}"


# Spelt so that this file does not name them itself.
FORBIDDEN = [
    (r"(?<![\w.])/wo[r]k/", "a path of the machine it was written on"),
    (r"/tmp/ba[s]h_jobs", "a path of the machine it was written on"),
    (r"(?<![\w.$}])/home/\w", "somebody's home"),
    (r"\bdeb\.debia[n]\.org|\bsnapshot\.debia[n]\.org|\bpyp[i]\.org|\bpythonhoste[d]\.org|"
     r"\bcrate[s]\.io|\bregistry\.npmj[s]|\bproxy\.golan[g]\.org|\brubygem[s]\.org",
     "the host of a package registry"),
    (r"\bfarm-ben[c]h\b|\bissue[s] (show|list|close|comment)\b", "a tool of another place"),
]


def names(tree):
    for f in tree.files:
        if f.endswith((".png", ".gz", ".bin")):
            continue
        for nr, line in enumerate(tree.lines(f), 1):
            for pattern, what in FORBIDDEN:
                m = re.search(pattern, line)
                if m:
                    yield f"{f}:{nr}: {m[0]} is {what}"


def file_sizes(tree):
    for f in tree.sources():
        length = tree.text(f).count("\n")
        if length > MAX_LINES and f not in LONG:
            yield f"{f}: {length} lines"


def blanks(tree):
    for f in tree.sources():
        text = tree.text(f)
        for nr, line in enumerate(text.split("\n"), 1):
            if line != line.rstrip():
                yield f"{f}:{nr}: blanks at the end"
            if f.endswith((".c", ".h")) and re.match(r"\t* {8}| +\t", line):
                yield f"{f}:{nr}: blanks where a tab belongs"
        if text and (not text.endswith("\n") or text.endswith("\n\n")):
            yield f"{f}: the last line is not one line's end"


def options(tree):
    """The names in the tables of options, but for hidden ones: those have no help."""
    entry = re.compile(r'\{\s*"([a-z][a-z-]+)",\s*(?:"[^"]*"|NULL),\s*(?!NULL)(?:"|\w)')
    for f in tree.files:
        if re.fullmatch(r"vmm/cli(_\w+)?\.c", f):
            text = tree.text(f)
            tables = re.findall(r"option_def \w+\[\] = \{(.*?)\n\};", text, re.S)
            for table in tables:
                yield from entry.findall(table)


def options_in_readme(tree):
    found = sorted(set(options(tree)))
    if len(found) < 10:
        yield f"only {len(found)} options found in vmm/cli*.c: has the table moved?"
    readme = tree.text("README.md") if "README.md" in tree.files else ""
    for name in found:
        if not re.search(rf"--{re.escape(name)}(?![\w-])", readme):
            yield f"README.md: --{name} is missing"


def requirements(tree):
    """Of the text about MSI; the guests that hold devices to them are named there."""
    done = subprocess.run([tree.path("tests/bare/clauses"), "--check"], stdout=subprocess.PIPE,
                          text=True, check=False)
    if done.returncode:
        yield from done.stdout.splitlines()


def shell(tree):
    for f in tree.shell():
        done = subprocess.run(["sh", "-n", tree.path(f)], stderr=subprocess.PIPE, text=True,
                              check=False)
        if done.returncode:
            yield f"{f}: {done.stderr.strip()}"


def python(tree):
    for f in tree.python():
        try:
            compile(tree.text(f), f, "exec")
        except SyntaxError as e:
            yield f"{f}:{e.lineno}: {e.msg}"
