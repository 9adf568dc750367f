# SPDX-License-Identifier: Apache-2.0
"""Job control, keys, and what is left of a terminal when a monitor dies on it."""

import os
import signal
import subprocess

from session import Shell, argv, state, until

QUIT = b"\x01x"
FATAL = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE)


def talk(opts, end="echo"):
    return argv(opts, "talk", f"end={end}")


def answers(sh, key):
    """The guest gives back what is typed."""
    before = sh.out.text.count(b"<%c>" % key[0])
    sh.type(key)
    return sh.out.expect(b"<%c>" % key[0], before + 1)


def keys(t, opts):
    with Shell() as sh:
        before = sh.modes()
        pid = sh.start(talk(opts))
        sh.out.expect(b"ready")
        t.check("in the foreground the terminal is raw and its keys are the guest's",
                sh.raw() and answers(sh, b"\x03") and answers(sh, b"k"))
        sh.type(QUIT)
        status = sh.status(pid)
        t.check("Ctrl-A x stops the guest, and the terminal is as before",
                status == 0 and sh.modes() == before, str(status))


def background(t, opts):
    with Shell() as sh:
        before = sh.modes()
        pid = sh.start(talk(opts), foreground=False)
        runs = sh.out.expect(b"ready")
        t.check("in the background the guest runs and the terminal is left alone",
                runs and sh.modes() == before and state(pid) in "SR", f"{runs} {state(pid)}")
        os.kill(pid, signal.SIGTERM)
        status = sh.status(pid)
        t.check("in the background SIGTERM ends it, and the terminal is left alone",
                status == 0 and sh.modes() == before, str(status))
        pid = sh.start(talk(opts), foreground=False)
        sh.out.expect(b"ready", 2)
        sh.foreground(pid)
        t.check("brought to the foreground it gets the keyboard",
                until(sh.raw) and answers(sh, b"f"))
        sh.foreground(0)
        sh.type(b"not for the guest")
        os.kill(pid, signal.SIGTERM)
        status = sh.status(pid)
        t.check("pushed into the background it still ends", status == 0, str(status))


def stop_and_go(t, opts):
    with Shell() as sh:
        before = sh.modes()
        pid = sh.start(talk(opts))
        sh.out.expect(b"ready")
        os.kill(pid, signal.SIGTSTP)
        stopped = until(lambda: state(pid) == "T")
        t.check("stopped, it gives the terminal back", stopped and sh.modes() == before)
        os.kill(pid, signal.SIGCONT)
        t.check("continued in the foreground, it has the terminal again",
                until(sh.raw) and answers(sh, b"g"))
        os.kill(pid, signal.SIGTSTP)
        until(lambda: state(pid) == "T")
        sh.foreground(0)
        os.kill(pid, signal.SIGCONT)
        going = until(lambda: state(pid) in "SR")
        t.check("continued in the background, it leaves the terminal alone",
                going and sh.modes() == before)
        sh.foreground(pid)
        until(sh.raw)
        sh.type(QUIT)
        status = sh.status(pid)
        t.check("in the foreground again, Ctrl-A x quits", status == 0 and sh.modes() == before,
                str(status))


def two_on_one(t, opts):
    """From a script: both in the group that has the terminal."""
    with Shell() as sh:
        before = sh.modes()
        script = '"$@" < /dev/tty & first=$!; sleep 2; "$@" < /dev/tty; kill $first; wait $first'
        err = os.path.join(opts.scratch, "two")
        pid = sh.start(["sh", "-c", script, "sh", *talk(opts)], err=err)
        both = sh.out.expect(b"ready", 2)
        with open(err, "rb") as f:
            t.check("the second monitor on a terminal says that it has no keys",
                    f.read().count(b"another monitor has the keys") == 1)
        children = lambda: [int(n) for n in
                            open(f"/proc/{pid}/task/{pid}/children", encoding="ascii").read().split()]
        first, second = children()
        os.kill(first, signal.SIGTERM)
        until(lambda: state(first) in ("", "Z"))
        takes_over = until(sh.raw) and answers(sh, b"t")
        os.kill(second, signal.SIGTERM)
        status = sh.status(pid)
        t.check("of two monitors in the foreground of a terminal one has the keys, then the other",
                both and takes_over, f"{both} {takes_over}")
        t.check("two monitors leave the terminal as it was before the first",
                status == 0 and sh.modes() == before, f"{status} {sh.modes() == before}")


def fatal_signals(t, opts):
    for sig in FATAL:
        with Shell() as sh:
            before = sh.modes()
            pid = sh.start(talk(opts))
            sh.out.expect(b"ready")
            raw = until(sh.raw)
            os.kill(pid, sig)
            status = sh.status(pid)
            t.check(f"{sig.name} kills by itself, and gives the terminal back",
                    raw and status == -sig and sh.modes() == before, f"{raw} {status}")


def address_of(opts, pid, symbol):
    out = subprocess.run(["nm", opts.mimsy], capture_output=True, text=True, check=False).stdout
    at = [int(line.split()[0], 16) for line in out.splitlines() if line.endswith(" " + symbol)]
    with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as f:
        base = min(int(line.split("-")[0], 16) for line in f
                   if line.rstrip().endswith(os.path.basename(opts.mimsy)))
    return base + at[0] if at else None


def crash_of_a_thread(t, opts):
    """The next register access of the guest runs into an instruction that there is not."""
    name = "a fault in another thread kills by its own signal, and gives the terminal back"
    with Shell() as sh:
        before = sh.modes()
        pid = sh.start(talk(opts))
        sh.out.expect(b"ready")
        raw = until(sh.raw)
        address = address_of(opts, pid, "bus_read")
        if address is None:
            t.skip(name, "the program has no symbols")
            return
        with open(f"/proc/{pid}/mem", "r+b", buffering=0) as mem:
            mem.seek(address)
            mem.write(b"\x0f\x0b")      # ud2
        status = sh.status(pid)
        t.check(name, raw and status == -signal.SIGILL and sh.modes() == before,
                f"{raw} {status} {sh.modes() == before}")


def quit_behind_much_input(t, opts):
    with Shell() as sh:
        pid = sh.start(talk(opts, "halt"))
        sh.out.expect(b"ready")
        left = b"a" * 12000 + QUIT

        def typed():
            nonlocal left
            left = left[sh.type(left[:1000]):]
            return not left or sh.status(pid, 0.01) is not None

        until(typed)
        status = sh.status(pid)
        t.check("[C1] Ctrl-A x is heard behind more than the guest reads", status == 0, str(status))


TESTS = (keys, background, stop_and_go, two_on_one, fatal_signals, crash_of_a_thread,
         quit_behind_much_input)
