# SPDX-License-Identifier: Apache-2.0
"""Output that nobody takes: the monitor waits for it only where that is what a person wants."""

import fcntl
import os
import re
import select
import signal
import socket
import subprocess

import trap
from session import Reader, argv, ends_by_wishes, status_of, threads, until

F_SETPIPE_SZ = 1031
POWERED_OFF = b"guest powered off"
LINES = 400
TEXT = b"".join(b"line %d of what this guest has to say, long enough to fill a pipe\n" % i
                for i in range(LINES))


def fill(fd):
    os.set_blocking(fd, False)
    try:
        while True:
            os.write(fd, b"x" * 64)
    except BlockingIOError:
        os.set_blocking(fd, True)


def full_socket():
    ours, theirs = socket.socketpair()
    fill(theirs.fileno())
    return ours, theirs


def full_pipe():
    r, w = os.pipe()
    fcntl.fcntl(w, F_SETPIPE_SZ, 4096)
    fill(w)
    return r, w


def start(opts, append, *args, **popen):
    popen = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
             **popen}
    return subprocess.Popen(argv(opts, "talk", append, *args), **popen)


def log_that_nobody_reads(t, opts):
    for kind, make in (("socket", full_socket), ("pipe", full_pipe)):
        for end, what in (("halt", "a signal"), ("off", "the guest")):
            reader, writer = make()
            p = start(opts, f"end={end}", "--log-level", "debug", stderr=writer)
            if end == "halt":
                Reader(p.stdout.fileno()).expect(b"ready")
                p.send_signal(signal.SIGTERM)
            status = status_of(p)
            t.check(f"[H11] a log {kind} that nobody reads does not hold an end by {what}",
                    status == 0, str(status))
            p.kill()
            p.wait()
            for end_of_it in (reader, writer):
                os.close(end_of_it) if isinstance(end_of_it, int) else end_of_it.close()


def log_socket(t, opts):
    """The vCPU says so itself, behind its filter."""
    ours, theirs = socket.socketpair()
    p = start(opts, "end=off", stderr=theirs)
    theirs.close()
    status, text = status_of(p), Reader(ours.fileno()).rest()
    ours.close()
    t.check("[H11] every thread may log to a socket", status == 0 and POWERED_OFF in text,
            f"{status}: {text}")


def lost_lines(t, opts):
    reader, writer = full_pipe()
    p = start(opts, "end=halt", "--log-level", "debug", stderr=writer)
    os.close(writer)
    Reader(p.stdout.fileno()).expect(b"ready")
    log = Reader(reader)
    while select.select([reader], [], [], 0)[0]:    # what was there before
        log.step()
    p.send_signal(signal.SIGTERM)
    status, text = status_of(p), log.rest()
    os.close(reader)
    t.check("[H11] lines of the log that were lost are counted, and told when somebody reads again",
            status == 0 and re.search(rb"mimsy: warn: \d+ lines of the log were lost here\n.*"
                                      rb"stopping on signal", text, re.S),
            f"{status}: {text.lstrip(b'x')}")


class Stall:
    """A file system on which writes to one file do not return, once it is told so."""

    def __init__(self, path, stalls=True):
        self.path, self.stalls, self.held = path, stalls, 0

    def __call__(self, call):
        if not self.stalls or call.fd_name() != self.path:
            return None
        self.held += 1
        return trap.Hold()


def stalled(opts, which, append, stalls=True):
    """The monitor with its console or its log on such a file system, and the other in a file."""
    paths = {name: os.path.join(opts.scratch, name) for name in ("stdout", "stderr")}
    with open(paths["stdout"], "wb") as out, open(paths["stderr"], "wb") as err:
        p = trap.Process(opts.trap, argv(opts, "talk", append), Stall(paths[which], stalls),
                         ["write"], stdout=out, stderr=err)
    return p, paths


def read(path):
    with open(path, "rb") as f:
        return f.read()


def wish(p):
    """Signals a second and more apart while its system calls are served."""
    for _ in range(20):
        p.signal()
        if p.run(1.2) and p.process.poll() is not None:
            break
    return p.process.poll()


def console_on_a_stalled_disk(t, opts):
    p, paths = stalled(opts, "stdout", f"lines={LINES} end=off")
    with p:
        goes_on = p.run(60, lambda: POWERED_OFF in read(paths["stderr"]))
        t.check("[C2] a console file whose writes do not return does not hold the guest", goes_on,
                str(read(paths["stderr"])))
        status = wish(p)
        t.check("[C2, H8] a second signal ends a monitor that waits for its console file",
                status == 128 + signal.SIGTERM, str(status))
    p, paths = stalled(opts, "stdout", f"lines={LINES} end=off")
    with p:
        p.run(60, lambda: p.held and POWERED_OFF in read(paths["stderr"]))
        p.handler = lambda call: None
        p.release()
        status = p.finish(60)
        t.check("[C2] a console file that hung for a while misses nothing",
                status == 0 and TEXT in read(paths["stdout"]), f"{status}")


def log_on_a_stalled_disk(t, opts):
    p, paths = stalled(opts, "stderr", "end=halt", False)
    with p:
        p.run(60, lambda: b"ready" in read(paths["stdout"]))
        p.handler.stalls = True
        p.signal()
        ends = p.run(60, lambda: p.handler.held and "vcpu0" not in threads(p.pid))
        t.check("[H11] a log file whose writes do not return does not hold the end of the guest",
                ends, str(threads(p.pid)))
        status = wish(p)
        t.check("[H11, H8] a second signal ends a monitor that waits for its log file",
                status == 128 + signal.SIGTERM, str(status))


def input_on_a_stalled_disk(t, opts):
    """The main thread gets to its counters at the end, while the read does not return."""
    path, out, stats = (os.path.join(opts.scratch, name) for name in ("input", "out", "stats"))
    with open(path, "wb") as f:
        f.write(b"a" * 100)
    command = argv(opts, "talk", f"lines={LINES} end=off", "--stats", stats)
    with open(out, "wb") as o:
        p = trap.Process(opts.trap, ["sh", "-c", f'exec "$@" < {path}', "sh", *command],
                         Stall(path), ["read"], stdout=o, stderr=subprocess.DEVNULL)
    with p:
        ends = p.run(60, lambda: p.held and os.path.exists(stats) and os.path.getsize(stats) > 100)
        t.check("input from a file whose reads do not return holds nothing but the last close",
                ends and TEXT in read(out), f"{len(p.held)} {threads(p.pid)}")


def slow_reader(t, opts):
    """It reads nothing until the guest is gone."""
    r, w = os.pipe()
    fcntl.fcntl(w, F_SETPIPE_SZ, 4096)
    p = start(opts, f"lines={LINES} end=off", stdout=w)
    os.close(w)
    log = Reader(p.stderr.fileno())
    gone = log.expect(POWERED_OFF)
    text, status = Reader(r).rest(), status_of(p)
    os.close(r)
    t.check("[C2] a slow reader gets all that the guest said before it powered off",
            gone and status == 0 and TEXT in text, f"{status}: {len(text)} of {len(TEXT)} bytes")


def no_reader(t, opts):
    r, w = os.pipe()
    fcntl.fcntl(w, F_SETPIPE_SZ, 4096)
    p = start(opts, f"lines={LINES} end=off", stdout=w)
    os.close(w)
    log = Reader(p.stderr.fileno())
    log.expect(POWERED_OFF)
    waits = until(lambda: "vcpu0" not in threads(p.pid))
    waits = waits and p.poll() is None
    p.send_signal(signal.SIGTERM)
    status, text = status_of(p), log.rest()
    t.check("[C2] a reader that reads nothing is waited for until a signal comes",
            waits and status == 0, f"{waits} {status}")
    t.check("[C2] what it did not take is counted and told",
            re.search(rb"console: \d+ bytes of output were lost", text), str(text))
    p.kill()
    p.wait()
    os.close(r)


def flags_of_others(t, opts):
    """The descriptors are the shell's, too."""
    r, w = os.pipe()
    r2, w2 = os.pipe()
    p = start(opts, "end=halt", stdin=r2, stdout=w)
    out = Reader(r)
    out.expect(b"ready")
    t.check("pipes that were passed in stay blocking", os.get_blocking(w) and os.get_blocking(r2))
    status = ends_by_wishes(p)
    t.check("with pipes it ends in good order", status == 0, str(status))
    for fd in (r, w, r2, w2):
        os.close(fd)


TESTS = (log_that_nobody_reads, log_socket, lost_lines, console_on_a_stalled_disk,
         log_on_a_stalled_disk, input_on_a_stalled_disk, slow_reader, no_reader, flags_of_others)
