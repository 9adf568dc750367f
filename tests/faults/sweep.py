# SPDX-License-Identifier: Apache-2.0
"""Each system call of a run, from the first to the last, fails once.

A run without faults tells which calls there are. Each of them then fails in a run of
its own, with an errno that it can have. That run has to end in one of two ways: the
guest has not noticed, and all its data is right; or the monitor has said in one line
what is wrong and left with its status for errors.
"""

import collections
import errno
import os
import signal

import calls
import trap

GUEST_RIGHT, GUEST_KEEPS_FAILING, GUEST_NO_FLUSH, GUEST_NO_NET = 16, 19, 20, 21
ERROR, LIBC_GAVE_UP = 1, 127
SECONDS = 40
AT_MOST = {"ioctl 0xae80": 6, "prctl 24": 3, "futex 0": 6, "futex 9": 6}   # of one kind

# Words of a log line that tell of an error; warnings go along with a tolerated fault.
ERROR_LINE = b"mimsy: error: "


# A signal takes a call away from us: it seems interrupted, although it is one that never is.
ARTEFACT = b": Interrupted system call"


class Machine:
    """What is run: options of the monitor, and what the guest does."""

    def __init__(self, name, opts, args, job="sweep", tap=None, net="vhost=off",
                 sanitized=None):
        """net: of the interface. sanitized: a monitor with address sanitizer, which also looks for leaks at the end."""
        self.name, self.opts, self.args, self.job, self.tap = name, opts, args, job, tap
        self.net = net
        self.sanitized = sanitized
        self.disk = os.path.join(opts.scratch, "sweep.disk")
        self.out = os.path.join(opts.scratch, "sweep.out")
        self.err = os.path.join(opts.scratch, "sweep.err")

    def argv(self):
        args = [a.replace("DISK", self.disk) for a in self.args]
        if self.tap:
            args += ["--net", f"tap={self.tap},{self.net}"]
        return [self.sanitized or self.opts.mimsy, "run", "--kernel", self.opts.guest, "--memory", "16M",
                "--debug-exit", "--cmdline", f"job={self.job}", *args]

    def run(self, handler, names=None):
        """Exit status (None: hung) and what was said."""
        with open(self.disk, "wb") as f:
            f.truncate(1 << 20)
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            with trap.Process(self.opts.trap, self.argv(), handler, names,
                              stdout=out, stderr=err) as p:
                status = p.finish(SECONDS)
        return status, open(self.out, "rb").read(), open(self.err, "rb").read()


class Counter:
    """Names calls: the nth of its kind in its thread."""

    def __init__(self, machine):
        self.count = collections.Counter()
        self.first = "close_range" if machine.sanitized else "openat"
        self.ours = False       # trap's own calls, the loader's and libc's come first

    def key(self, call):
        if not self.ours:
            self.ours = call.name == self.first
        kind = (call.role, calls.what(call))
        self.count[kind] += 1
        return (*kind, self.count[kind])


def run_whole(machine, begin):
    """A run with the handler that begin() makes. Again if the sanitizer stumbled: a signal takes its
    munmap(2) away from us (ARTEFACT), and it gives up."""
    for _ in range(3):
        status, out, err = machine.run(begin())
        if not machine.sanitized or b"CHECK failed" not in err or b"Sanitizer: detected" in err:
            break
    return status, out, err


def survey(machine):
    """Every call of a run without faults, in order: (key, errnos)."""
    found = []

    def begin():
        counter = Counter(machine)
        found.clear()

        def handler(call):
            key = counter.key(call)
            if counter.ours and not (machine.sanitized and
                                     (call.name in calls.SANITIZERS or call.role < 0)):
                found.append((key, calls.errors(call)))
        return handler

    status, out, err = run_whole(machine, begin)
    if status != GUEST_RIGHT:
        raise trap.Error(f"{machine.name}: a run without faults ends with {status}: "
                         f"{out.decode()} {err.decode()}")
    return found


def failure(call, number):
    """brk(2) itself returns where the heap ends, whatever was asked for."""
    if call.name != "brk":
        return trap.Fail(number)
    with open(f"/proc/{call.tid}/maps", encoding="ascii", errors="replace") as f:
        heap = [line for line in f if "[heap]" in line]
    return trap.Return(int(heap[-1].split()[0].split("-")[1], 16)) if heap else None


def inject(machine, key, number):
    """A run in which that call fails. (reached, status, log)"""
    reached = []

    def begin():
        counter = Counter(machine)
        reached.clear()

        def handler(call):
            if counter.key(call) != key:
                return None
            reached.append(call)
            return failure(call, number)
        return handler

    status, _, err = run_whole(machine, begin)
    return bool(reached), status, err


def complaint(key, number, status, err, stable=False):
    """None, or what is wrong with how the run ended."""
    lines = sum(ERROR_LINE in line and (number == errno.EINTR or ARTEFACT not in line)
                for line in err.split(b"\n"))
    if status is None:
        return "it hangs"
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    if b"Sanitizer" in err or b"runtime error" in err:
        return "a sanitizer complains"
    if status == GUEST_RIGHT:
        return None
    if status == GUEST_NO_FLUSH and key[1] == "fdatasync" and number == errno.EIO:
        return None             # and so it has to be, see D2
    if status == GUEST_KEEPS_FAILING and stable and key[1] == "fdatasync" and number == errno.EIO:
        return None             # a stable write needs a flush
    if status == GUEST_NO_NET and key[1] in ("readv", "writev") and b"link is down" in err:
        return None             # a tap that is gone answers so
    if status == ERROR:
        return None if lines == 1 else f"{lines} lines of error"
    return f"exit status {status}"


def select(found, step, first, every_errno):
    """The calls to fail: every stepth, with one errno or all there are."""
    seen, chosen = collections.Counter(), []
    for key, errnos in found:
        seen[key[1]] += 1
        if errnos and seen[key[1]] <= AT_MOST.get(key[1], 1000):
            chosen += [(key, e) for e in (errnos if every_errno else errnos[:1])]
    return chosen[first % step::step]


def title(key, number):
    return f"{key[1]} #{key[2]} of thread {key[0]}: {errno.errorcode[number]}"


def run(t, machine, step=1, first=0, every_errno=False):
    """The whole sweep of one machine; one case, or one for each failure."""
    found = survey(machine)
    chosen = select(found, step, first, every_errno)
    if machine.opts.call:
        chosen = [c for c in select(found, 1, 0, True) if machine.opts.call in title(*c)]
    ends, bad, missed = collections.Counter(), 0, 0
    for n, (key, number) in enumerate(chosen, 1):
        reached, status, err = inject(machine, key, number)
        if not reached:
            missed += 1
            continue
        why = complaint(key, number, status, err, "writethrough" in " ".join(machine.args))
        ends["tolerated" if status == GUEST_RIGHT else "refused"] += not why
        if why:
            bad += 1
            t.check(f"H4 {machine.name}: {title(key, number)}", False,
                    f"{why}\n    {err.decode(errors='replace').strip()[-600:]}")
        if n % 200 == 0:
            t.progress(f"{machine.name}: {n} of {len(chosen)} calls")
        if machine.opts.call:
            t.progress(f"{title(key, number)}: {status} {err.decode(errors='replace')}")
    t.check(f"H4, H7 {machine.name}: each system call fails once", not bad,
            f"{bad} ended badly", f"{len(chosen) - missed} runs for {len(found)} calls, "
            f"{ends['refused']} refused, {ends['tolerated']} tolerated")
    t.check(f"H4 {machine.name}: the runs are alike", missed <= max(3, len(chosen) // 20),
            f"{missed} of {len(chosen)} calls were not made again")
