# SPDX-License-Identifier: Apache-2.0
"""The build cache: a directory per artifact, named by a hash of everything it is made of."""

import contextlib
import fcntl
import glob
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile


class BuildError(Exception):
    """An artifact cannot be built; the text says why and, where known, the remedy."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def cache_dir(*parts):
    base = os.environ.get("MIMSY_CACHE")
    if not base:
        home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        base = os.path.join(home, "mimsy")
    path = os.path.join(base, *parts)
    os.makedirs(path, exist_ok=True)
    return path


def read(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError as e:
        raise BuildError(f"{path}: {e.strerror}") from None


def digest(*parts):
    h = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        h.update(len(data).to_bytes(8, "little") + data)
    return h.hexdigest()[:16]


def digest_file(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def command(argv, **kw):
    """Runs argv without input and returns its output; BuildError with what it said."""
    try:
        r = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, check=False, **kw)
    except FileNotFoundError:
        raise BuildError(f"{argv[0]} is not installed") from None
    if r.returncode:
        said = (r.stderr.strip() or r.stdout.strip()).decode(errors="replace")
        raise BuildError(f"{' '.join(argv)}: {said[-2000:]}")
    return r.stdout


def cached(kind, name, make):
    """The directory kind/name of the cache; make(tmpdir) fills it if it is not there yet.

    Half-built directories never get the final name; a second process waits for the first.
    """
    parent = cache_dir(kind)
    final = os.path.join(parent, name)
    with open(os.path.join(parent, "lock"), "w", encoding="ascii") as lock:
        if os.path.isdir(final):
            return final
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.isdir(final):
            return final
        for stale in glob.glob(parent + "/tmp-*"):     # of a builder that was killed
            shutil.rmtree(stale, ignore_errors=True)
        tmp = tempfile.mkdtemp(prefix="tmp-", dir=parent)
        try:
            os.chmod(tmp, 0o755)
            make(tmp)
            os.rename(tmp, final)
        finally:
            with contextlib.suppress(OSError):
                shutil.rmtree(tmp)
    return final
