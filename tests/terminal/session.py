# SPDX-License-Identifier: Apache-2.0
"""Monitors, by themselves or on a terminal of their own with a shell that does what it is told."""

import fcntl
import json
import os
import pty
import select
import signal
import socket
import subprocess
import termios
import time
import tty

GUARD = 60      # seconds for what has to happen at all; no result depends on how long it takes


def until(condition, seconds=GUARD):
    """True once the condition holds; False if it never does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return bool(condition())


def state(pid, tid=None):
    """The letter that ps shows; "" for a process that is gone."""
    try:
        with open(f"/proc/{pid}/task/{tid or pid}/stat", encoding="ascii", errors="replace") as f:
            return f.read().rsplit(")", 1)[1].split()[0]
    except OSError:
        return ""


def threads(pid):
    """Their names."""
    found = []
    for tid in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{tid}/comm", encoding="ascii", errors="replace") as f:
                found.append(f.read().strip())
        except OSError:
            pass
    return found


def argv(opts, guest, append, *args, memory="16M"):
    return [opts.mimsy, "run", "--kernel", os.path.join(opts.guests, guest + ".elf"),
            "--cmdline", append, "--memory", memory, "--debug-exit", *args]


class Reader:
    """What comes out of a descriptor, as far as somebody asks."""

    def __init__(self, fd):
        self.fd, self.text, self.ended = fd, b"", False

    def step(self, seconds=0.1):
        if self.ended or not select.select([self.fd], [], [], seconds)[0]:
            return
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b""
        self.text += data
        self.ended = not data

    def expect(self, words, count=1, seconds=GUARD):
        end = time.monotonic() + seconds
        while self.text.count(words) < count and not self.ended and time.monotonic() < end:
            self.step()
        return self.text.count(words) >= count

    def rest(self, seconds=GUARD):
        end = time.monotonic() + seconds
        while not self.ended and time.monotonic() < end:
            self.step()
        return self.text


def status_of(process, seconds=GUARD):
    """Its exit status; None: it hangs."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def ends_by_wishes(process, sig=signal.SIGTERM, pid=None):
    """Asks again and again, a second and more apart; the exit status, None: it hangs."""
    for _ in range(20):
        try:
            os.kill(pid or process.pid, sig)
        except ProcessLookupError:
            pass
        status = status_of(process, 1.2)
        if status is not None:
            return status
    return None


class Shell:
    """Leads a session on a terminal of its own: starts programs in groups, moves the foreground."""

    def __init__(self):
        self.master, slave = pty.openpty()
        self.sock, theirs = socket.socketpair()
        self.pid = os.fork()
        if not self.pid:
            self.sock.close()
            os.close(self.master)
            os._exit(lead(slave, theirs.makefile("rwb")))
        theirs.close()
        self.slave = slave          # to look at its modes
        self.talk = self.sock.makefile("rwb")
        self.out = Reader(self.master)

    def ask(self, **what):
        self.talk.write(json.dumps(what).encode() + b"\n")
        self.talk.flush()
        return json.loads(self.talk.readline())

    def start(self, program, foreground=True, ignore=(), err=os.devnull):
        return self.ask(do="start", argv=program, foreground=foreground, ignore=list(ignore),
                        err=err)

    def foreground(self, pid):
        """0: the shell itself."""
        self.ask(do="foreground", pid=pid)

    def status(self, pid, seconds=GUARD):
        """As subprocess gives it; None: it hangs."""
        return self.ask(do="wait", pid=pid, seconds=seconds)

    def type(self, keys):
        """As far as the terminal takes them."""
        flags = fcntl.fcntl(self.master, fcntl.F_GETFL)
        fcntl.fcntl(self.master, fcntl.F_SETFL, flags | os.O_NONBLOCK)
        try:
            return os.write(self.master, keys)
        except BlockingIOError:
            return 0
        finally:
            fcntl.fcntl(self.master, fcntl.F_SETFL, flags)

    def modes(self):
        return termios.tcgetattr(self.slave)

    def raw(self):
        return not self.modes()[tty.LFLAG] & (termios.ICANON | termios.ECHO | termios.ISIG)

    def hang_up(self):
        os.close(self.slave)
        os.close(self.master)
        self.master = self.slave = -1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.talk.close()
        self.sock.close()
        os.waitpid(self.pid, 0)
        if self.master >= 0:
            self.hang_up()


def lead(slave, talk):
    """The shell's side."""
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for sig in (signal.SIGTTOU, signal.SIGTTIN, signal.SIGHUP, signal.SIGTSTP):
        signal.signal(sig, signal.SIG_IGN)
    jobs = {}
    for line in talk:
        what = json.loads(line)
        answer = None
        if what["do"] == "start":
            p = start_job(slave, what)
            jobs[p.pid] = p
            answer = p.pid
        elif what["do"] == "foreground":
            os.tcsetpgrp(slave, what["pid"] or os.getpid())
        else:
            answer = status_of(jobs[what["pid"]], what["seconds"])
        talk.write(json.dumps(answer).encode() + b"\n")
        talk.flush()
    for p in jobs.values():
        if p.poll() is None:
            p.kill()
            p.wait()
    return 0


def start_job(slave, what):
    def prepare():
        os.setpgid(0, 0)
        if what["foreground"]:
            os.tcsetpgrp(slave, os.getpid())    # SIGTTOU is ignored until here
        for sig in (signal.SIGTTOU, signal.SIGTTIN, signal.SIGHUP, signal.SIGTSTP):
            signal.signal(sig, signal.SIG_DFL)
        for sig in what["ignore"]:
            signal.signal(sig, signal.SIG_IGN)

    with open(what["err"], "wb") as err:
        return subprocess.Popen(what["argv"], stdin=slave, stdout=slave, stderr=err,
                                preexec_fn=prepare)
