# SPDX-License-Identifier: Apache-2.0
"""The form of C: sizes, comments, and what clang-format and clang-tidy say."""

import difflib
import os
import re
import shutil
import tempfile

from tree import Skip

MAX_COLUMNS = 100
MAX_FUNCTION = 60


def columns(tree):
    for f in tree.c_files():
        for nr, line in enumerate(tree.lines(f), 1):
            width = len(line.expandtabs(8))
            if width > MAX_COLUMNS:
                yield f"{f}:{nr}: {width} columns"


def function_sizes(tree):
    files = [f for f in tree.c_files() if f.endswith(".c")]
    out = tree.run(["ctags", "-f", "-", "--fields=ne", "--excmd=number", "--kinds-C=f", *files])
    for line in out.splitlines():
        fields = line.split("\t")
        extra = dict(x.split(":", 1) for x in fields[3:] if ":" in x)
        if line.startswith("!") or "end" not in extra:
            continue
        length = int(extra["end"]) - int(extra["line"]) + 1
        if length > MAX_FUNCTION:
            yield f"{fields[1]}:{extra['line']}: {fields[0]}() has {length} lines"


def without_strings(line):
    return re.sub(r'"(\\.|[^"\\])*"|\'(\\.|[^\'\\])+\'', '""', line)


def comments(tree):
    for f in tree.c_files():
        inside = False
        for nr, line in enumerate(tree.lines(f), 1):
            code = re.sub(r"/\*.*?\*/", "", without_strings(line))
            if not inside and "//" in code.split("/*")[0]:
                yield f"{f}:{nr}: {line.strip()}"
            inside = "/*" in code or (inside and "*/" not in code)


def braces(tree):
    """A function's brace begins a line; all other ones end theirs, and else follows one."""
    for f in tree.c_files():
        lines = tree.lines(f)
        for nr, (line, following) in enumerate(zip(lines, lines[1:]), 1):
            if re.match(r"\w.*\)\s*\{$", line):
                yield f"{f}:{nr}: {line}"
            if line.strip() == "}" and following.strip().startswith("else"):
                yield f"{f}:{nr + 1}: {following.strip()}"
            if following.strip() == "{" and re.match(r"\t+(if|for|while|switch|else|do)\b", line):
                yield f"{f}:{nr + 1}: the brace belongs to the line before"


# clang-format is asked with the author's line breaks (ColumnLimit 0). Its word counts for
# lines that begin a statement; columns of trailing comments, macro bodies and the
# continuation of a statement are left to the author's eye.

def squeeze(line):
    """Runs of blanks behind the indentation become one."""
    indent = line[:len(line) - len(line.lstrip())]
    return indent + re.sub(r"\s+", " ", line.strip())


def beginnings(lines):
    """The indices of lines that begin a statement, outside macros."""
    depth, ready, macro = 0, True, False
    for i, line in enumerate(lines):
        code = re.sub(r"/\*.*?(\*/|$)|^\s*\*.*", "", without_strings(line)).strip()
        if line.startswith("#"):
            macro = True
        if not macro and code and ready and depth == 0:
            yield i
        macro = macro and line.rstrip().endswith("\\")
        if code and not macro:
            depth += code.count("(") - code.count(")")
            ready = code.endswith((";", "{", "}", ":", ")"))


def is_quirk(ours, theirs):
    """Where this clang-format misreads C: "(x) & y", "; )", an enum behind an include."""
    def plain(line):
        return re.sub(r"\s*([&*-]|; ?\))\s*", lambda m: m[1].replace(" ", ""), line)
    return plain(ours) == plain(theirs) or theirs.startswith("       " + ours.strip()[:1])


def compare(name, ours, theirs):
    counted = set(beginnings(ours))
    match = difflib.SequenceMatcher(None, [re.sub(r"\s+", "", x) for x in ours],
                                    [re.sub(r"\s+", "", x) for x in theirs], autojunk=False)
    for block in match.get_matching_blocks():
        for k in range(block.size):
            a, b = squeeze(ours[block.a + k]), squeeze(theirs[block.b + k])
            if a != b and block.a + k in counted and not is_quirk(a, b):
                yield f"{name}:{block.a + k + 1}: {a!r} should be {b!r}"


def formatted(tree):
    """One clang-format for copies of all files, which is much faster than one for each."""
    if not shutil.which("clang-format"):
        raise Skip("clang-format is not installed")
    files = tree.c_files()
    with tempfile.TemporaryDirectory() as work:
        shutil.copy(tree.path(".clang-format"), work)
        for i, f in enumerate(files):
            shutil.copy(tree.path(f), os.path.join(work, f"{i}{f[-2:]}"))
        copies = [f"{i}{f[-2:]}" for i, f in enumerate(files)]
        tree.run(["sh", "-c", f"cd {work} && exec clang-format -i \"$@\"", "sh", *copies])
        for copy, f in zip(copies, files):
            with open(os.path.join(work, copy), encoding="utf-8") as done:
                yield from compare(f, tree.lines(f), done.read().split("\n"))


def tidy(tree, build):
    folder = build if os.path.isabs(build) else tree.path(build)
    if not os.path.exists(os.path.join(folder, "compile_commands.json")):
        raise Skip(f"{build} has no compile_commands.json")
    if not shutil.which("clang-tidy"):
        raise Skip("clang-tidy is not installed")
    for f in tree.c_files("vmm/", "devices/", "firmware/"):
        if f.endswith(".c"):
            out = tree.run(["sh", "-c", "clang-tidy -quiet -p \"$0\" \"$1\" 2>/dev/null || :",
                            folder, f])
            yield from re.findall(r"^.*(?:warning|error): .*$", out, re.M)
