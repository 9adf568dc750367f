# SPDX-License-Identifier: Apache-2.0
"""Signals: what is one wish to stop, what is a second, and what hears it."""

import os
import signal
import subprocess
import time

import trap
from session import GUARD, Reader, Shell, argv, status_of, until

STOPPING = b"stopping on signal"
FAST = 0.9      # seconds: within them two signals are one wish


def start(opts, append, *args, prefix=(), **popen):
    popen = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
             **popen}
    return subprocess.Popen([*prefix, *argv(opts, "talk", append, *args)], **popen)


def hung_disk(opts, prefix=()):
    """A guest whose read of the disk does not return, and the file that its log is in."""
    disk, out = os.path.join(opts.scratch, "disk"), os.path.join(opts.scratch, "hung")
    for path in (disk, disk + "2"):
        with open(path, "wb") as f:
            f.truncate(1 << 20)
    with open(out, "wb") as o, open(out + ".err", "wb") as e:
        command = [*prefix, *argv(opts, "faultwork", "job=hung",
                                  "--disk", f"path={disk},aio=threads",
                                  "--disk", f"path={disk}2,aio=threads")]
        p = trap.Process(opts.trap, command,
                         lambda call: trap.Hold() if call.fd_name() == disk else None,
                         ["preadv"], stdout=o, stderr=e)
    return p, out


def read(path):
    with open(path, "rb") as f:
        return f.read()


def two_at_once(t, opts):
    """Closing a terminal sends SIGHUP twice, from the kernel and from the shell."""
    for sig in (signal.SIGHUP, signal.SIGTERM):
        for _ in range(20):
            p, out = hung_disk(opts)
            with p:
                p.run(GUARD, lambda: p.held)
                begin = time.monotonic()
                p.signal(sig)
                stopping = p.run(GUARD, lambda: STOPPING in read(out + ".err"))
                p.signal(sig)
                p.run(0.1)
                fast = time.monotonic() - begin < FAST
                alive = p.process.poll() is None
                p.release()
                status = p.finish(GUARD)
            if fast:
                break
        t.check(f"[H8] {signal.Signals(sig).name} twice within a second is one wish: the end waits for a "
                "hung read and is in good order", fast and stopping and alive and status == 0,
                f"{fast} {stopping} {alive} {status}")


def second_wish(t, opts):
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        p, out = hung_disk(opts)
        with p:
            p.run(GUARD, lambda: p.held)
            for _ in range(20):
                p.signal(sig)
                if p.run(1.2) and p.process.poll() is not None:
                    break
            status = p.process.poll()
        t.check(f"[H3, H8] {signal.Signals(sig).name} again, later, ends a monitor that waits for a hung read",
                status == 128 + sig and STOPPING in read(out + ".err"), str(status))


def quit_at_once(t, opts):
    p, _ = hung_disk(opts)
    with p:
        p.run(GUARD, lambda: p.held)
        p.signal(signal.SIGQUIT)
        status = p.finish(GUARD)
    t.check("[H8] SIGQUIT ends at once", status == 128 + signal.SIGQUIT, str(status))


def child_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(n) for n in f.read().split()]


def process_one(t, opts):
    """The kernel does nothing by itself to process 1 of a PID namespace."""
    r, w = os.pipe()
    p = start(opts, "lines=2000 end=halt", prefix=["unshare", "--pid", "--fork"], stdout=w)
    until(lambda: child_of(p.pid))
    child = child_of(p.pid)[0]
    Reader(r).expect(b"line")
    os.kill(child, signal.SIGTERM)
    status = status_of(p)
    t.check("[H8] process 1 of a PID namespace stops on SIGTERM", status == 0, str(status))
    os.close(w)
    os.close(r)
    p, _ = hung_disk(opts, ["unshare", "--pid", "--fork"])
    with p:
        p.run(GUARD, lambda: p.held)
        for _ in range(20):
            for child in child_of(p.pid):
                os.kill(child, signal.SIGTERM)
            if p.run(1.2) and p.process.poll() is not None:
                break
        status = p.process.poll()
    t.check("[H3, H8] process 1 that waits for a hung read is ended by a second signal",
            status == 128 + signal.SIGTERM, str(status))


def ignored(t, opts):
    """nohup(1), and a shell's background job."""
    def prepare():
        for sig in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
            signal.signal(sig, signal.SIG_IGN)

    p = start(opts, "end=echo", stdin=subprocess.PIPE, preexec_fn=prepare)
    out = Reader(p.stdout.fileno())
    out.expect(b"ready")
    for sig in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        p.send_signal(sig)
    p.stdin.write(b"a")
    p.stdin.flush()
    goes_on = out.expect(b"<a>")
    p.send_signal(signal.SIGTERM)
    status = status_of(p)
    t.check("[H8] signals that were ignored at the start stay ignored", goes_on and status == 0,
            f"{goes_on} {status}")


def closed_terminal(t, opts):
    """SIGHUP from the kernel to the session's leader, from the leader to its job."""
    with Shell() as sh:
        pid = sh.start(argv(opts, "talk", "end=halt"), err=os.path.join(opts.scratch, "err"))
        ready = sh.out.expect(b"ready")
        sh.hang_up()
        for _ in range(3):
            try:
                os.kill(pid, signal.SIGHUP)
            except ProcessLookupError:
                pass
        status = sh.status(pid)
        t.check("[H8] closing the terminal stops the monitor in good order", ready and status == 0,
                f"{ready} {status}")


TESTS = (two_at_once, second_wish, quit_at_once, process_one, ignored, closed_terminal)
