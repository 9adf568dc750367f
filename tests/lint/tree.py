# SPDX-License-Identifier: Apache-2.0
"""Tree: the files of the checkout, by kind."""

import functools
import os
import subprocess


class Skip(Exception):
    """The rule cannot be checked here; says why."""


class Tree:
    def __init__(self, root):
        self.root = os.path.realpath(root)
        out = self.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        names = sorted(set(filter(None, out.split("\0"))))
        self.files = [f for f in names if os.path.isfile(self.path(f))]

    def path(self, name):
        return os.path.join(self.root, name)

    def run(self, command, **more):
        """What a command prints; Skip if there is no such command."""
        try:
            return subprocess.run(command, cwd=self.root, check=True, stdout=subprocess.PIPE,
                                  text=True, errors="replace", **more).stdout
        except FileNotFoundError:
            raise Skip(f"{command[0]} is not installed") from None

    @functools.lru_cache(maxsize=None)
    def text(self, name):
        with open(self.path(name), encoding="utf-8", errors="replace") as f:
            return f.read()

    def lines(self, name):
        return self.text(name).split("\n")

    def interpreter(self, name):
        """The program that a script's first line names, without its folder; or ""."""
        first = self.text(name)[:80].split("\n")[0]
        return os.path.basename(first[2:].split()[0]) if first.startswith("#!") else ""

    def c_files(self, *folders):
        """Our C sources and headers. The guest's driver follows Linux's rules, not ours."""
        return [f for f in self.files if f.endswith((".c", ".h")) and
                not f.startswith("guest-patches/") and
                (not folders or f.startswith(folders))]

    def python(self):
        return [f for f in self.files if f.endswith(".py") or
                self.interpreter(f).startswith("python")]

    def shell(self):
        return [f for f in self.files if f.endswith(".sh") or
                self.interpreter(f) in ("sh", "dash", "bash")]

    def sources(self):
        """Everything that people write and machines read."""
        kinds = (".c", ".h", ".S", ".py", ".sh", ".ld", ".in")
        names = ("CMakeLists.txt", "Kbuild", "Makefile", ".clang-format", ".clang-tidy")
        return [f for f in self.files if f.endswith(kinds) or os.path.basename(f) in names or
                self.interpreter(f)]
