# SPDX-License-Identifier: Apache-2.0
"""The runs that give the figures: which guest is booted, what it does, what is taken from it."""

import collections
import contextlib
import dataclasses
import os
import random
import re
import statistics
import time

from testbed.bed import BedError
from testbed.link import LinkLost

from . import figures, monitors, session

WORK_IDS = {"B1", "B2", "B2a", "B3", "B4", "B4k", "B4i", "B5", "B5x", "B5s", "B6", "B6x", "B6d",
            "B6s", "B6w", "B6i", "B9", "B9m", "B9k", "B10", "B10a", "B10r", "B11", "B11p10",
            "B11p50", "B11p99", "B11s", "B11r", "B12", "B12w", "B12q", "B12wq", "B12p10", "B12p50",
            "B12p99", "B13", "B13b"}
SETUP_IDS = {"B7r", "B7i", "B8", "B8u"}
SMP_IDS = {"B5c", "B5p"}
SCALE = {1: "B12s1", 2: "B12s2", 4: "B12s4"}
KVM_RUN, SET_GSI_ROUTING = 0xae80, 0x4008ae6a
SMP_CPUS = 4
AT_ONCE = 8
# What a run of one monitor may end with: it says no, says nonsense, or takes the bed with it.
BROKEN = (session.RunError, BedError, LinkLost, OSError, LookupError, ArithmeticError, ValueError)


@dataclasses.dataclass
class Effort:
    """How much: operations counted, timed, at depth 32, of each CPU in a guest with four of them;
    KiB of a stream; rounds of the work, of guests with four CPUs, of mere starts."""

    count: int
    timed: int
    deep: int
    stream_kib: int
    smp: int
    reps: int
    smp_reps: int
    starts: int


QUICK = Effort(count=300, timed=500, deep=1000, stream_kib=2048, smp=60, reps=1, smp_reps=1,
               starts=1)
FULL = Effort(count=1000, timed=1000, deep=3000, stream_kib=4096, smp=200, reps=3, smp_reps=1,
              starts=2)
# On hardware everything is two or three orders of magnitude faster.
REAL = Effort(count=100000, timed=100000, deep=400000, stream_kib=1 << 20, smp=20000, reps=10,
              smp_reps=5, starts=30)
REAL_QUICK = dataclasses.replace(REAL, count=10000, timed=20000, deep=50000, stream_kib=1 << 18,
                                 smp=5000, reps=2, smp_reps=1, starts=3)


class Results:
    def __init__(self, say):
        self.samples = collections.defaultdict(list)    # (id, config) -> values
        self.reasons = collections.defaultdict(list)    # (work, config) -> exits by reason
        self.latency = collections.defaultdict(list)    # (work, config) -> [(per mille, ns)]
        self.calls = {}                                 # config -> start-up system calls
        self.stages = collections.defaultdict(list)     # config -> (monitor, firmware, kernel) s
        self.failed = []
        self.say = say

    def add(self, figure, config, value):
        self.samples[figure, config].append(value)

    def lists(self):
        """All that grows while a monitor is measured."""
        return {(n, key): values for n, d in enumerate(
            (self.samples, self.reasons, self.latency, self.stages)) for key, values in d.items()}

    def sizes(self):
        return {key: len(values) for key, values in self.lists().items()}

    def cut(self, sizes):
        """Forgets what has come since."""
        for key, values in self.lists().items():
            del values[sizes.get(key, 0):]

    def median(self, figure, config):
        values = self.samples.get((figure, config))
        return statistics.median(values) if values else None


class Bench:
    """place: a Place (bed, files); wanted: ids; effort: how much."""

    def __init__(self, place, configs, wanted, effort, results):
        self.place, self.configs, self.wanted = place, configs, wanted
        self.effort, self.results = effort, results
        self.dead = set()       # (kind of run, configuration): failed twice, so not again

    def need(self, *ids):
        return any(i in self.wanted for i in ids)

    def run(self):
        e = self.effort
        runs = [(WORK_IDS, self.work, e.reps), (SETUP_IDS, self.setup, 1),
                ({"B7"}, self.startup_calls, 1), (SMP_IDS, self.smp, 1),
                (set(SCALE.values()), self.scale, e.smp_reps), ({"B14"}, self.starts, e.starts),
                ({"B14c"}, self.many_starts, e.starts)]
        for ids, run, reps in runs:
            for rep in range(reps if self.need(*ids) else 0):
                self.round(run, rep)
        if self.need("B15"):
            for config in self.configs:
                path = monitors.find(config.program, self.place.mimsy)
                self.results.add("B15", config.name, os.path.getsize(path))

    def round(self, run, rep):
        """All monitors, each round in another order, the same in each run: what comes first, or
        after another program, finds caches cold and code that an emulator has yet to translate."""
        for config in random.Random(rep + 1).sample(self.configs, len(self.configs)):
            self.guarded(run, config, rep)

    def guarded(self, run, config, rep):
        """One monitor that does not work must not spoil the figures of the others. It is tried
        twice: not every boot of a guest with several CPUs succeeds in a test bed."""
        kind = run.__name__.replace("_", " ")
        if (kind, config.name) in self.dead:
            return None
        what = f"{config.name}, {kind}, round {rep + 1}"
        self.results.say(what)
        before = self.results.sizes()
        for last in (False, True):
            try:
                return run(config)
            except BROKEN as e:
                text = str(e) if isinstance(e, session.RunError) else f"{type(e).__name__}: {e}"
            self.results.say(f"FAILED {what}: {text}" + ("" if last else "; once more"))
            if self.place.renew():
                self.results.say("another test bed is up")
                self.results.failed.append("the test bed was lost; what follows is another boot")
            if not last:
                self.results.cut(before)
        self.results.failed.append(f"{what}: {text}")
        self.dead.add((kind, config.name))
        return None

    def session(self, config, **machine):
        return session.Session(self.place.bed, self.place.argv(config, **machine),
                               clock=self.place.clock)

    # ---- counts and times ----

    def work(self, config):
        with self.session(config) as s:
            self.boot(s, config)
            self.memory(s, config)
            if self.need(*figures.BLK.values(), *figures.RR.values(), "B4i", "B6i"):
                self.counts(s, config)
            self.times(s, config)
            self.deep(s, config)
            s.stop()

    def boot(self, s, config):
        s.command("entry on")
        total, wall, kernel = s.boot()
        entry = s.first_entry()
        monitor = (entry - s.began) / 1e9 if entry else 0.0
        stages = [part * total / wall for part in (monitor, wall - monitor - kernel, kernel)]
        self.results.add("B9", config.name, total)
        self.results.add("B9k", config.name, stages[2])
        if entry:
            self.results.add("B9m", config.name, stages[0])
        self.results.stages[config.name].append(stages)

    def memory(self, s, config):
        if not self.need("B10", "B10a", "B10r"):
            return
        m = s.memory(self.place.machine.memory)
        if m["guest"] < self.place.machine.memory << 20:
            raise session.RunError(f"{config.name}: guest memory not found among its mappings")
        self.results.add("B10", config.name, m["own"])
        self.results.add("B10a", config.name, m["alone"])
        self.results.add("B10r", config.name, m["rss"])

    def counts(self, s, config):
        s.command("trace on")
        marks, _ = s.phase("nop")
        n = self.effort.count
        if self.need(*figures.BLK.values(), "B4i"):
            self.counted(s, config, marks, "read", f"blk n={n}", n, figures.BLK, "B4i")
        if self.need(*figures.RR.values(), "B6i"):
            self.counted(s, config, marks, "rr", f"rr n={n}", n, figures.RR, "B6i")
        s.command("trace off")

    def counted(self, s, config, marks, name, work, ops, ids, irqs):
        delta, report = s.phase(work)
        for key, value in figures.per_operation(delta, marks, ops).items():
            if key in ids:
                self.results.add(ids[key], config.name, value)
        self.results.reasons[name, config.name].append(
            figures.exits_by_name(delta, marks, ops))
        self.results.add(irqs, config.name, device_irqs(report) / ops)

    def times(self, s, config):
        n, kib = self.effort.timed, self.effort.stream_kib
        if self.need("B12", "B12p10", "B12p50", "B12p99", "B13b"):
            self.timed(s, config, "B12", f"blk n={n}", latency="read")
        if self.need("B12w"):
            self.timed(s, config, "B12w", f"blk n={n} write=1")
        if self.need("B11", "B11p10", "B11p50", "B11p99", "B13"):
            self.timed(s, config, "B11", f"rr n={n}", latency="rr")
        if self.need("B11s"):
            self.timed(s, config, "B11s", f"stream kib={kib} out=1", scale=1024)
        if self.need("B11r"):
            self.timed(s, config, "B11r", f"stream kib={kib} out=0", scale=1024)

    def deep(self, s, config):
        """Last, because this is where a monitor stops if it does."""
        n = self.effort.deep
        work = f"blk n={n} depth=32"
        if self.need("B12q"):
            self.timed(s, config, "B12q", work)
        if self.need("B12wq"):
            self.timed(s, config, "B12wq", work + " write=1")
        if self.need(*figures.DEEP.values(), "B5"):
            s.command("trace on")
            marks, _ = s.phase("nop")
            self.counted(s, config, marks, "deep", work, n, figures.DEEP, "B5")

    def timed(self, s, config, figure, work, scale=1, latency=None):
        _, report = s.phase(work, 300)
        res = report["res"]
        self.results.add(figure, config.name, res["n"] / scale / res["s"])
        if latency:
            self.results.latency[latency, config.name].append(report["lat"])
            for percent in (10, 50, 99):
                self.results.add(f"{figure}p{percent}", config.name,
                                 dict(report["lat"])[10 * percent] / 1e3)

    # ---- set-up ----

    def setup(self, config):
        """The tracing slows the start down, so no time is taken from this one."""
        with self.session(config) as s:
            s.command("trace on")
            before = s.snap()
            s.boot()
            self.setup_counts(config, session.Delta(before, s.snap()))
            s.stop()

    def setup_counts(self, config, delta):
        ioctls = delta.by_key("syscalls/sys_enter_ioctl", 1)
        add, name = self.results.add, config.name
        reasons = figures.exits_by_name(delta)
        reasons[figures.TOUCH] = reasons.pop(figures.KICK, 0)
        self.results.reasons["boot", name].append(reasons)
        add("B8", name, sum(delta.by_key("kvm/kvm_exit", 1).values()))
        add("B8u", name, sum(delta.by_key("kvm/kvm_userspace_exit", 1).values()))
        add("B7r", name, ioctls[SET_GSI_ROUTING])
        add("B7i", name, sum(ioctls.values()) - ioctls[KVM_RUN])

    def startup_calls(self, config):
        """strace, until a thread enters the guest; what runs at the same time counts as well."""
        place = self.place
        log = f"{place.machine.scratch}/strace"
        argv = [place.strace(), "-f", "-qq", "-o", log, "-s", "48", *place.argv(config)]
        place.bed.run(["rm", "-f", log])
        p = place.bed.start(argv)
        try:
            end = time.monotonic() + 120
            while place.bed.run(["grep", "-q", "KVM_RUN", log]).status:
                if p.poll(0.2) or time.monotonic() > end:
                    raise session.RunError(f"{config.name}: no KVM_RUN under strace: "
                                           + p.out.data[2][-300:].decode(errors="replace"))
            text = place.bed.run(["cat", log]).stdout.decode(errors="replace")
        finally:
            p.kill(9)
            p.wait(60)
        calls = strace_calls(text)
        self.results.calls[config.name] = calls
        self.results.add("B7", config.name, len(calls))

    # ---- several queues ----

    def smp(self, config):
        n = self.effort.smp
        with self.session(config, cpus=SMP_CPUS, queues=SMP_CPUS) as s:
            s.boot()
            here = total = ipis = 0
            for cpu in range(SMP_CPUS):
                _, report = s.phase(f"blk n={n} cpu={cpu} seed={cpu + 1}")
                irq = report["irq"]
                here += irq[f"cpu{cpu}"]
                total += device_irqs(report)
                ipis += irq[f"ipi{cpu}"]
            s.stop()
        if not total:
            raise session.RunError(f"{config.name}: no interrupts counted")
        self.results.add("B5c", config.name, 100 * here / total)
        self.results.add("B5p", config.name, ipis / n / SMP_CPUS)

    def scale(self, config):
        for queues, figure in SCALE.items():
            if figure not in self.wanted:
                continue
            if self.place.bed.emulated and not config.few:
                continue        # on one CPU there is little to see, and it takes long
            with self.session(config, cpus=SMP_CPUS, queues=queues) as s:
                s.boot()
                self.timed(s, config, figure, f"blk n={self.effort.smp} jobs={SMP_CPUS} depth=4")
                s.stop()

    # ---- starts ----

    def starts(self, config):
        with self.session(config) as s:
            s.boot()
            s.stop()
            self.results.add("B14", config.name, 1 / s.seconds("started", "stopped", s.lived))

    def many_starts(self, config):
        """Each with a disk and a tap of its own; not in the test bed, which has one CPU."""
        if self.place.bed.emulated:
            return
        began, runs = time.monotonic(), []
        with contextlib.ExitStack() as stack:
            for i in range(AT_ONCE):
                runs.append(stack.enter_context(self.session(config, number=i)))
            for s in runs:
                s.tell("start")
            for s in runs:
                s.console("@up", 120, "boot")
                s.stop()
            self.results.add("B14c", config.name, AT_ONCE / (time.monotonic() - began))


def device_irqs(report):
    return sum(n for key, n in report["irq"].items() if re.fullmatch(r"cpu\d+", key))


def strace_calls(text):
    """System calls of a strace -f log, from the first execve to before the first KVM_RUN."""
    calls = []
    for line in text.splitlines():
        _, _, rest = line.partition(" ")
        rest = rest.strip()
        if rest.startswith(("<...", "+++", "---")):
            continue
        if "KVM_RUN" in rest:
            return calls
        calls.append(rest)
    return calls
