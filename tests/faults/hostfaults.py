# SPDX-License-Identifier: Apache-2.0
"""Group H of the catalogue, one row after the other: what the host may do to a running guest."""

import errno
import fcntl
import os
import random
import re
import resource
import select
import signal
import subprocess
import time

import trap
from integrity import Stutter, fresh_disk
from machine import Machine

RIGHT = 16
KVM_GET_API_VERSION, KVM_CREATE_VM, KVM_CHECK_EXTENSION = 0xae00, 0xae01, 0xae03
KVM_CREATE_VCPU, KVM_RUN = 0xae41, 0xae80
KVM_SET_GSI_ROUTING, KVM_IRQFD = 0x4008ae6a, 0x4020ae76
DISK_CALLS = ("preadv", "pwritev2", "fallocate", "fdatasync")


class Nth:
    """verdict for the nth call (0: each) that matches."""

    def __init__(self, matches, verdict, nth=1):
        self.matches, self.verdict, self.nth, self.seen = matches, verdict, nth, 0

    def __call__(self, call):
        if not self.matches(call):
            return None
        self.seen += 1
        if self.nth and self.seen != self.nth:
            return None
        return self.verdict(call) if callable(self.verdict) else self.verdict


def ioctl(number):
    return lambda call: call.name == "ioctl" and call.args[1] & 0xffffffff == number


def on_disk(name, path):
    return lambda call: call.name == name and call.fd_name() == path


def errors_seen(out):
    m = re.search(rb"errors (\d+)", out)
    return int(m[1]) if m else -1


def check_disk_calls(t, opts):
    """H1: each way a transfer can go wrong, on each call of the data path."""
    for name in DISK_CALLS:
        for number in (errno.EINTR, errno.EIO, errno.ENOSPC, errno.EDQUOT):
            if name == "fdatasync" and number != errno.EINTR:
                continue        # that is D2
            m = Machine(opts, "sweep", ["path=DISK,aio=threads"])
            fresh_disk(m.disks[0])
            nth = Nth(on_disk(name, m.disks[0]), trap.Fail(number))
            status, out, err = m.run(nth, [name])
            hidden = number == errno.EINTR
            t.check(f"H1 {name} fails with {errno.errorcode[number]}: "
                    f"{'the guest does not notice' if hidden else 'the next request works'}",
                    nth.seen and status == RIGHT and (errors_seen(out) == 0) == hidden,
                    f"{nth.seen} calls, {status}: {out} {err}")
    for name in ("preadv", "pwritev2"):
        m = Machine(opts, "sweep", ["path=DISK,aio=threads"])
        fresh_disk(m.disks[0])
        short = Stutter(opts.seed, m.disks[0])
        status, out, err = m.run(Nth(on_disk(name, m.disks[0]), short.short, 0), [name])
        t.check(f"H1 {name} always transfers a part only: the rest follows",
                short.count["short"] > 4 and status == RIGHT and errors_seen(out) == 0,
                f"{status}: {out} {err}")
    m = Machine(opts, "sweep", ["path=DISK,aio=threads"])
    fresh_disk(m.disks[0])
    status, out, _ = m.run(Nth(on_disk("fallocate", m.disks[0]), trap.Fail(errno.EOPNOTSUPP), 0),
                           ["fallocate"])
    t.check("H1 a file system that cannot zero a range: zeroes are written",
            status == RIGHT and errors_seen(out) == 0, f"{status}: {out}")


def check_frames(t, opts):
    """H1 for the tap: a frame may be lost, the next one comes through."""
    if not opts.tap:
        t.skip("H1 frames", "taps take root and the program ip")
        return
    bad = [trap.Fail(e) for e in (errno.EINTR, errno.EAGAIN, errno.ENOBUFS, errno.EINVAL)]
    verdicts = [*bad, trap.Return(0), trap.Return(5)]
    for name in ("readv", "writev"):
        for verdict in verdicts if opts.full else verdicts[::5]:
            m = Machine(opts, "sweep", ["path=DISK"],
                        args=["--net", f"tap={opts.tap},vhost=off"])
            fresh_disk(m.disks[0])
            nth = Nth(lambda c, name=name: c.name == name and c.fd_name() == "/dev/net/tun",
                      verdict, 2)
            status, out, err = m.run(nth, [name])
            how = (f"fails with {errno.errorcode[verdict.errno]}"
                   if isinstance(verdict, trap.Fail) else f"returns {verdict.value}")
            t.check(f"H1 {name} of a frame {how}: others come through",
                    nth.seen >= 2 and status == RIGHT, f"{nth.seen}, {status}: {out} {err}")


LIMITS = (("NOFILE", resource.RLIMIT_NOFILE, range(0, 48)),
          ("AS", resource.RLIMIT_AS, [n << 18 for n in range(2, 200, 3)]),
          ("FSIZE", resource.RLIMIT_FSIZE, [0, 512, 4096, 1 << 16, 1 << 20]),
          ("STACK", resource.RLIMIT_STACK, [1 << 16, 1 << 18, 1 << 20]),
          ("MEMLOCK", resource.RLIMIT_MEMLOCK, [0, 4096, 1 << 20]))
SIGNALLED_BY_LIBC = {-signal.SIGSEGV, -signal.SIGKILL, 127, 126}


def check_limits(t, opts):
    """H4: real limits, from nothing up to enough. Too low for libc is not for us to mend."""
    for name, which, values in LIMITS:
        bad, ends = None, {"refused": 0, "right": 0, "not begun": 0, "errors": 0}
        for value in values if opts.full else list(values)[opts.seed % 9::9]:
            m = Machine(opts, "sweep", ["path=DISK"])
            fresh_disk(m.disks[0])
            p = m.start(stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                        preexec_fn=lambda: resource.setrlimit(which, (value, value)))
            out, err = p.communicate(timeout=40)
            lines = err.count(b"mimsy: error: ")
            if p.returncode == RIGHT:
                ends["right"] += 1
            elif p.returncode == 1 and lines == 1:
                ends["refused"] += 1
            elif p.returncode in SIGNALLED_BY_LIBC and not out and not lines:
                ends["not begun"] += 1
            elif name == "FSIZE" and p.returncode == RIGHT + 3:
                ends["errors"] += 1         # writes fail, again and again
            else:
                bad = bad or f"{value}: {p.returncode}: {out} {err}"
        figures = ", ".join(f"{v} {k}" for k, v in ends.items() if v)
        t.check(f"H4 limit {name}, from too little to enough: refused in one line, or right",
                not bad, str(bad), figures)


class Lines:
    """What a guest says, line by line."""

    def __init__(self, process):
        self.fd, self.rest = process.stdout.fileno(), b""

    def expect(self, text, seconds=20):
        """Reads until a line holds it. False: the guest ends before, or says nothing of it."""
        end = time.monotonic() + seconds
        while True:
            *lines, self.rest = self.rest.split(b"\n")
            for i, line in enumerate(lines):
                if text in line:
                    self.rest = b"\n".join([*lines[i + 1:], self.rest])
                    return True
            left = end - time.monotonic()
            if left < 0 or not select.select([self.fd], [], [], left)[0]:
                return False
            data = os.read(self.fd, 65536)
            if not data:
                return False
            self.rest += data


def check_changed_files(t, opts):
    """H2: the disk's file changes under a guest that reads and writes its last page."""
    for aio in ("threads", "auto"):
        m = Machine(opts, "watch", [f"path=DISK,aio={aio}"])
        fresh_disk(m.disks[0])
        p = m.start(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        said = Lines(p)
        started = said.expect(b"read 0, write 0")
        size = os.path.getsize(m.disks[0])
        gone = False
        for _ in range(50):     # the guest's next write makes the file as long as it was
            os.truncate(m.disks[0], size // 2)
            gone = gone or said.expect(b"read 1", 0.2)
            if gone:
                break
        said.expect(b"read 0")
        t.check(f"H2 truncated while running, aio={aio}: an I/O error, and then as before",
                started and gone and p.poll() is None and os.path.getsize(m.disks[0]) == size)
        os.truncate(m.disks[0], 2 * size)
        os.chmod(m.disks[0], 0)
        os.unlink(m.disks[0])
        time.sleep(0.05)
        alive = p.poll() is None
        p.send_signal(signal.SIGTERM)
        _, err = p.communicate(timeout=20)
        t.check(f"H2 extended, mode 000, deleted while running, aio={aio}: the guest goes on",
                alive and p.returncode == 0, f"{p.returncode}: {err}")


class Hung:
    """A read of the first disk that the host does not finish."""

    def __init__(self, path):
        self.matches, self.held = on_disk("preadv", path), 0

    def __call__(self, call):
        if not self.held and self.matches(call):
            self.held += 1
            return trap.Hold()
        return None


class HungBeside(Hung):
    """The same, and it notes whether the other disk was flushed after its guest had done so."""

    def __init__(self, machine):
        super().__init__(machine.disks[0])
        self.machine, self.flushed = machine, False
        self.is_flush = on_disk("fdatasync", machine.disks[1])

    def __call__(self, call):
        self.flushed |= self.is_flush(call) and b"disk 1 works" in self.machine.said()
        return super().__call__(call)


def hung_machine(opts, append="", cpus=1):
    m = Machine(opts, "hung", ["path=DISK,aio=threads"] * 2, append=append,
                args=["--cpus", str(cpus)])
    for disk in m.disks:
        fresh_disk(disk)
    return m


def check_hung(t, opts):
    """H3. The call never returns: its thread waits in the kernel."""
    m = hung_machine(opts)
    with m.trapped(Hung(m.disks[0]), ["preadv"]) as p:
        works = p.run(20, lambda: b"disk 0 waits, disk 1 works" in m.said())
        t.check("H3, H9 a read hangs: the other disk works", works, str(m.said()))
        p.release()
        status = p.finish()
        t.check("H3, H9 a read that hung is answered in the end", status == RIGHT and
                b"disk 0 answers 0" in m.said(), f"{status}: {m.said()}")
    m = hung_machine(opts, "reset=1", 2)
    with m.trapped(Hung(m.disks[0]), ["preadv"]) as p:
        works = p.run(20, lambda: b"disk 1 works during the reset" in m.said())
        early = b"reset done" in m.said()
        p.release()
        done = p.run(20, lambda: b"reset done" in m.said())
        t.check("H3 a reset of the hung disk waits, and only its CPU and that disk with it",
                works and not early and done, str(m.said()))
        p.signal(signal.SIGTERM)
        t.check("H3 afterwards the monitor ends in good order", p.finish() == 0, str(m.log()))
    for append, what in (("", "by a signal"), ("off=1", "by the guest")):
        m = hung_machine(opts, append)
        hung = HungBeside(m)
        with m.trapped(hung, ["preadv", "fdatasync"]) as p:
            p.run(20, lambda: b"disk 1 works" in m.said())
            if not append:
                p.signal(signal.SIGTERM)
            t.check(f"H3, D8 at an end {what} the other disk is flushed meanwhile",
                    p.run(20, lambda: hung.flushed), str(m.log()))
            p.run(0.3)
            waits = p.process.poll() is None
            for _ in range(5):      # what comes within a second of the first is the same wish
                p.signal(signal.SIGTERM)
                if p.run(1.2) and p.process.poll() is not None:
                    break
            status = p.finish(5)
            t.check(f"H3 an end {what} waits for the hung read, a later signal then ends it at once",
                    waits and status == 128 + signal.SIGTERM, f"{waits} {status}: {m.log()}")


def refused(t, m, name, handler, expected, names=("ioctl",)):
    status, _, err = m.run(handler, list(names))
    t.check(name, status == 1 and expected in err and err.count(b"\n") == 1, f"{status}: {err}")


def check_kvm_missing(t, opts):
    """H6: what is wrong with /dev/kvm is said, in one line."""
    is_kvm = lambda call: call.name == "openat" and call.string(call.args[1]) == "/dev/kvm"
    m = Machine(opts, "sweep", ["path=DISK"])
    fresh_disk(m.disks[0])
    for number, words in ((errno.ENOENT, b"is not there"), (errno.EACCES, b"permission denied"),
                          (errno.ENODEV, b"is not there"), (errno.EBUSY, b"busy")):
        refused(t, m, f"H6 /dev/kvm gives {errno.errorcode[number]}: refused with a reason",
                Nth(is_kvm, trap.Fail(number)), words, ("openat",))
    refused(t, m, "H6 another version of the API: refused, the version named",
            Nth(ioctl(KVM_GET_API_VERSION), trap.Return(11)), b"API version 11")
    asked = []

    def note(call):
        if ioctl(KVM_CHECK_EXTENSION)(call):
            asked.append(call.args[2])

    m.run(note, ["ioctl"])
    named = set()
    for cap in asked:
        absent = Nth(lambda c, cap=cap: ioctl(KVM_CHECK_EXTENSION)(c) and c.args[2] == cap,
                     trap.Return(0), 0)
        status, out, err = m.run(absent, ["ioctl"])
        lacks = re.search(rb"lacks (\w+)", err)
        named.add(lacks[1] if lacks else b"")
        t.check(f"H6 without capability {cap}: refused by its name, or done without",
                status == RIGHT or (status == 1 and lacks and err.count(b"\n") == 1),
                f"{status}: {out} {err}")
    t.check("H6 each capability that is required has its name in a refusal",
            {b"KVM_CAP_IRQCHIP", b"KVM_CAP_IMMEDIATE_EXIT"} <= named, str(named))
    with open(m.disks[0], "r+b") as f:
        p = subprocess.run(m.argv() + ["--kvm-fd", str(f.fileno())], pass_fds=[f.fileno()],
                           capture_output=True, check=False)
    t.check("H6 a descriptor that is no KVM: refused", p.returncode == 1 and
            p.stderr.count(b"\n") == 1, str(p.stderr))


def check_kvm_calls(t, opts):
    """H7: KVM's own calls, by name; the sweep fails the others."""
    m = Machine(opts, "sweep", ["path=DISK"])
    fresh_disk(m.disks[0])
    for name, number in (("KVM_CREATE_VM", KVM_CREATE_VM), ("KVM_CREATE_VCPU", KVM_CREATE_VCPU)):
        nth = Nth(ioctl(number), trap.Fail(errno.EINTR))
        status, _, err = m.run(nth, ["ioctl"])
        t.check(f"H7 {name} is interrupted: made again", status == RIGHT and nth.seen == 2,
                f"{status}: {err}")
        for bad in (errno.ENOMEM, errno.EEXIST):
            refused(t, m, f"H7 {name} fails with {errno.errorcode[bad]}: refused by its name",
                    Nth(ioctl(number), trap.Fail(bad)), name.encode())
    for bad in (errno.EINTR, errno.EAGAIN):
        nth = Nth(ioctl(KVM_RUN), lambda call, n=iter(range(10 ** 9)), e=bad:
                  trap.Fail(e) if next(n) % 2 else None, 0)
        status, _, err = m.run(nth, ["ioctl"])
        t.check(f"H7 every other KVM_RUN gives {errno.errorcode[bad]}: the guest does not notice",
                status == RIGHT and nth.seen > 20, f"{status}: {err}")
    refused(t, m, "H7 KVM_RUN fails with EFAULT: the end, with a reason",
            Nth(ioctl(KVM_RUN), trap.Fail(errno.EFAULT), 5), b"KVM_RUN on vCPU 0: Bad address")


def check_routing(t, opts):
    """M13: the live table is refused once."""
    for name, number in (("KVM_SET_GSI_ROUTING", KVM_SET_GSI_ROUTING), ("KVM_IRQFD", KVM_IRQFD)):
        for bad in (errno.EINVAL, errno.ENOMEM):
            m = Machine(opts, "routes", ["path=DISK"] * 2)
            for disk in m.disks:
                fresh_disk(disk)
            # The second device's first call comes after the first device's.
            nth = Nth(ioctl(number), trap.Fail(bad), 2 if number == KVM_SET_GSI_ROUTING else 6)
            status, out, err = m.run(nth, ["ioctl"])
            t.check(f"M13 {name} fails with {errno.errorcode[bad]}: that device alone asks for a "
                    "reset, others go on, and it works afterwards", status == RIGHT and
                    b"first needs reset" in out and b"second works" in out and
                    b"first works after a reset" in out, f"{status}: {out} {err}")


SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP", "SIGPIPE", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGXFSZ",
           "SIGVTALRM", "SIGPROF", "SIGIO", "SIGPWR")
STOPS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


def check_signals(t, opts):
    """H8: at a random time of a short life; a running guest, its start and its end."""
    count = opts.count or (10000 if opts.full else 60)
    rng, bad, ends = random.Random(opts.seed), None, {"by it": 0, "stopped": 0, "unmoved": 0}
    m = Machine(opts, "sweep", ["path=DISK"])
    fresh_disk(m.disks[0])
    for n in range(count):
        sig = signal.Signals[rng.choice(SIGNALS)]
        p = m.start(stderr=subprocess.PIPE)
        time.sleep(rng.uniform(0, 0.12))
        p.send_signal(sig)
        _, err = p.communicate(timeout=30)
        if p.returncode == -sig or (p.returncode == 128 + sig and sig in STOPS):   # at its start
            ends["by it"] += 1
        elif p.returncode == 0 and sig in STOPS and b"stopping on signal" in err:
            ends["stopped"] += 1
        elif p.returncode == RIGHT:
            ends["unmoved"] += 1
        else:
            bad = bad or f"{sig.name}: {p.returncode}: {err}"
        if n % 1000 == 999:
            t.progress(f"signal {n + 1} of {count}")
    t.check("H8 a signal at a random time: a stop in good order, the signal's own end, or nothing",
            not bad, str(bad), f"{count} signals: {ends}".replace(": ", " "))
    m = Machine(opts, "traffic", ["path=DISK"])
    fresh_disk(m.disks[0])
    for sig in sorted(set(signal.Signals[s] for s in SIGNALS) - STOPS):
        p = m.start(stdout=subprocess.PIPE)
        said = Lines(p)
        said.expect(b"flushed")
        for tid in os.listdir(f"/proc/{p.pid}/task"):
            os.kill(int(tid), sig)
        goes_on = all(said.expect(b"flushed") for _ in range(20))
        p.kill()
        p.wait()
        t.check(f"H8, H9 {sig.name} to each thread of a running monitor is ignored", goes_on)


def check_stopped(t, opts):
    """H10. Clocks: what the monitor waits by is not a clock that somebody sets."""
    m = Machine(opts, "traffic", ["path=DISK"])
    fresh_disk(m.disks[0])
    p = m.start(stdout=subprocess.PIPE)
    said = Lines(p)
    said.expect(b"flushed")
    p.send_signal(signal.SIGSTOP)
    time.sleep(60 if opts.full else 1)
    p.send_signal(signal.SIGCONT)
    goes_on = all(said.expect(b"flushed") for _ in range(30))
    p.send_signal(signal.SIGTERM)
    p.stdout.close()
    t.check("H10 stopped for a while: the guest goes on, the end is in good order",
            goes_on and p.wait(20) == 0)
    clocks = []
    names = ["timerfd_create", "clock_gettime", "clock_nanosleep", "timer_create"]
    m = Machine(opts, "sweep", ["path=DISK,poll-us=50"])
    fresh_disk(m.disks[0])
    status, _, _ = m.run(lambda call: clocks.append((call.name, call.args[0])), names)
    t.check("H10 timers are on the clock that nobody sets", status == RIGHT and
            {c for name, c in clocks if name == "timerfd_create"} == {1}, str(clocks))


def full_pipe():
    r, w = os.pipe()
    fcntl.fcntl(w, fcntl.F_SETFL, os.O_NONBLOCK)
    try:
        while True:
            os.write(w, b"x" * 512)
    except BlockingIOError:
        pass
    fcntl.fcntl(w, fcntl.F_SETFL, 0)
    return r, w


def stop_waiting(p):
    """The monitor waits for its reader once the guest has ended, until a signal comes."""
    end = time.monotonic() + 20
    while time.monotonic() < end and p.poll() is None:
        names = [open(f"/proc/{p.pid}/task/{tid}/comm", encoding="ascii").read()
                 for tid in os.listdir(f"/proc/{p.pid}/task")]
        if "mimsy\n" in names and "vcpu0\n" not in names:
            break
        time.sleep(0.05)
    time.sleep(0.2)
    p.send_signal(signal.SIGTERM)


def check_log(t, opts):
    """H11: where the log and the guest's output go fails; a disk that fails makes log lines."""
    for what in ("closed", "full", "not open for writing", "on a full disk"):
        for which in ("stderr", "stdout"):
            r = w = None
            if what == "full":
                r, w = full_pipe()
            elif what != "closed":
                w = os.open("/dev/full" if "disk" in what else "/dev/null",
                            os.O_WRONLY if "disk" in what else os.O_RDONLY)
            m = Machine(opts, "verify", ["path=DISK,aio=threads"], append="rounds=100")
            fresh_disk(m.disks[0])
            argv = m.argv()
            if what == "closed":
                argv = ["sh", "-c", f'exec "$0" "$@" {"2" if which == "stderr" else "1"}>&-',
                        *argv]
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            if w is not None:
                quiet[which] = w
            with open(m.disks[0], "r+b"):
                p = subprocess.Popen(argv + ["--log-level", "debug"], stdin=subprocess.DEVNULL,
                                     **quiet)
            time.sleep(0.05)
            os.truncate(m.disks[0], 0)      # reads fail, and each failure is a line
            if what == "full" and which == "stdout":
                stop_waiting(p)
            try:
                status = p.wait(20)
            except subprocess.TimeoutExpired:
                p.kill()
                status = f"hangs: {p.wait()}"
            for fd in (r, w):
                if fd is not None:
                    os.close(fd)
            t.check(f"H11 {which} is {what}: the guest goes on to its end",
                    status in (RIGHT, RIGHT + 1, RIGHT + 3), str(status))
