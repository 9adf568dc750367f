# SPDX-License-Identifier: Apache-2.0
"""No guest fills the log of its host: where a line may be written without a limit.

Who calls whom is not followed. Instead every call of log_*() in devices/ and vmm/ has to be
in a function that log-calls names, with the reason why no guest reaches it again and again.
All others go through guest_error() or guest_fail(), which have a limit.
"""

import fnmatch
import re

CALL = re.compile(r"\blog_(?:error|warn|info|debug|errno|fail)\(")
REASONS = {"start", "once", "end", "host"}


def functions(tree, files):
    """(file, first line, last line, name) of each function."""
    out = tree.run(["ctags", "-f", "-", "--fields=ne", "--excmd=number", "--kinds-C=f", *files])
    for line in out.splitlines():
        fields = line.split("\t")
        extra = dict(x.split(":", 1) for x in fields[3:] if ":" in x)
        if not line.startswith("!") and "end" in extra:
            yield fields[1], int(extra["line"]), int(extra["end"]), fields[0]


def allowed(tree):
    """(pattern of files, function or *, line of the table) of each entry."""
    for nr, line in enumerate(tree.lines("tests/lint/log-calls"), 1):
        words = line.split("#")[0].split()
        if words:
            yield words, nr


def is_in(entry, name, function):
    return fnmatch.fnmatch(name, entry[0]) and entry[1] in ("*", function)


def limited(tree):
    files = [f for f in tree.c_files("devices/", "vmm/") if f.endswith(".c") and
             f != "vmm/base/log.c"]
    spans = list(functions(tree, files))
    entries, used = list(allowed(tree)), set()
    for f in files:
        for nr, line in enumerate(tree.lines(f), 1):
            if not CALL.search(line):
                continue
            name = next((n for g, a, b, n in spans if g == f and a <= nr <= b), "?")
            hits = [at for entry, at in entries if is_in(entry, f, name)]
            used.update(hits)
            if not hits:
                yield f"{f}:{nr}: {name}() logs without a limit; a guest may reach it"
    for entry, nr in entries:
        if len(entry) != 3 or entry[2] not in REASONS:
            yield f"tests/lint/log-calls:{nr}: a file, a function and a reason are needed"
        elif nr not in used:
            yield f"tests/lint/log-calls:{nr}: {entry[1]}() of {entry[0]} does not log"
