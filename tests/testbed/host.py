# SPDX-License-Identifier: Apache-2.0
"""Host: the interface of TestBed on the machine itself, and the choice between the two."""

import functools
import itertools
import os
import queue
import shutil
import signal
import struct
import subprocess
import threading

from . import probe
from .bed import BedError, TestBed, make_tmp
from .link import Collector, LinkLost, Process, Result


class _Child:
    """Speaks for one child as Link does for a command in L1, so that Process serves both."""

    def __init__(self, argv, env, cwd, merge, tty):
        self.events = queue.Queue()
        self.input = queue.Queue()
        self.popen = self.stdin = None
        self.started = threading.Event()
        # The child belongs to this thread, which lives as long: setpriv ends both together.
        threading.Thread(target=self._main, args=(argv, env, cwd, merge, tty), daemon=True).start()
        self.started.wait()

    def _main(self, argv, env, cwd, merge, tty):
        try:
            pipes = (self._spawn_tty if tty else self._spawn)(argv, env, cwd, merge)
        except OSError as e:
            self.events.put(("R", struct.pack("<i", e.errno)))
            return
        finally:
            self.started.set()
        readers = [threading.Thread(target=self._read, args=p, daemon=True) for p in pipes]
        for t in readers + [threading.Thread(target=self._write, daemon=True)]:
            t.start()
        _, status, usage = os.wait4(self.popen.pid, 0)
        self.popen.returncode = os.waitstatus_to_exitcode(status)
        self._signal(signal.SIGKILL)
        for t in readers:
            t.join(2)       # a process that has left the group may hold the pipe
        sig = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        code = 128 + sig if sig else os.WEXITSTATUS(status)
        self.events.put(("Z", struct.pack("<iIQQ", code, sig, int(usage.ru_utime * 1e6),
                                          int(usage.ru_stime * 1e6))))
        self.input.put(None)

    def _spawn(self, argv, env, cwd, merge):
        self.popen = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *argv], env=env, cwd=cwd, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merge else subprocess.PIPE)
        self.stdin = self.popen.stdin
        return [("O", self.popen.stdout)] + ([] if merge else [("E", self.popen.stderr)])

    def _spawn_tty(self, argv, env, cwd, _merge):
        ours, theirs = os.openpty()
        # setsid: a controlling terminal has to be taken by the child itself.
        self.popen = subprocess.Popen(
            ["setsid", "-c", "setpriv", "--pdeathsig", "KILL", *argv], env=env, cwd=cwd,
            stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        self.stdin = os.fdopen(os.dup(ours), "wb")
        return [("O", os.fdopen(ours, "rb"))]

    def _read(self, kind, pipe):
        try:
            with pipe:
                while data := pipe.read1(1 << 16):
                    self.events.put((kind, data))
        except OSError:
            pass        # EIO: the last process of a terminal has gone

    def _write(self):
        try:
            with self.stdin as pipe:
                while data := self.input.get():
                    pipe.write(data)
                    pipe.flush()
        except OSError:
            pass

    def _signal(self, sig):
        try:
            os.killpg(self.popen.pid, sig)
        except ProcessLookupError:
            pass

    def send(self, kind, _rid, data=None):
        if kind == "I":
            self.input.put(data)
        elif kind == "K" and self.popen:
            self._signal(struct.unpack("<I", data)[0])

    def forget(self, _rid):
        pass


class Host:
    """Commands run directly; files are where they are, put() only copies what gets a new name."""

    emulated = False
    restarts = 0

    def __init__(self):
        self.scratch = make_tmp()
        self.ids = itertools.count(1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        shutil.rmtree(self.scratch, ignore_errors=True)

    def boot(self):
        """Nothing to boot."""

    def start(self, cmd, env=None, cwd=None, merge=False, tty=False, on_line=None, on_data=None):
        argv = ["/bin/sh", "-c", cmd] if isinstance(cmd, str) else [os.fspath(a) for a in cmd]
        child = _Child(argv, {**os.environ, **(env or {})}, cwd, merge, tty)
        return Process(child, next(self.ids), child.events, Collector(on_line, on_data))

    def run(self, cmd, timeout=60, input=None, **kw):
        process = self.start(cmd, **kw)
        if input is not None:
            process.write(input)
        process.close_input()
        try:
            return process.wait(timeout)
        except LinkLost:
            return Result(125, timed_out=True, lost="the command cannot be killed")

    def put(self, host, guest=None):
        """Another name is allowed in self.scratch only."""
        host = os.path.abspath(host)
        if not guest or os.path.abspath(guest) == host:
            return host
        self._check(guest)
        os.makedirs(os.path.dirname(guest), exist_ok=True)
        (shutil.copytree if os.path.isdir(host) else shutil.copy2)(host, guest)
        return guest

    def get(self, guest, host=None):
        try:
            if not host:
                with open(guest, "rb") as f:
                    return f.read()
            if os.path.abspath(guest) != os.path.abspath(host):
                shutil.copy(guest, host)
            return None
        except OSError as e:
            raise BedError(f"get {guest}: {e.strerror}") from None

    def _check(self, path):
        if not os.path.abspath(path).startswith(self.scratch + "/"):
            raise BedError(f"{path} is not in {self.scratch}: nothing else is written on the host")


host_verdict = functools.cache(probe.probe_host)


def decide(tier="linux", force=None):
    """("host" or "testbed", why). force: one of them; without, MIMSY_KVM may name one."""
    if force in (None, "auto"):
        force = os.environ.get("MIMSY_KVM") or "auto"
    if force not in ("host", "testbed", "auto"):
        raise BedError(f"MIMSY_KVM={force}: it is host, testbed or auto")
    if force != "auto":
        return force, "asked for"
    verdict = host_verdict()
    return ("host" if verdict.serves(tier) else "testbed"), f"the host's KVM is {verdict}"


def choose(tier="linux", force=None, **bed_options):
    """A Host, if its KVM serves this tier of tests ("bare" or "linux"), else a TestBed."""
    where, _ = decide(tier, force)
    return Host() if where == "host" else TestBed(**bed_options)
