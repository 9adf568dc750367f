# SPDX-License-Identifier: Apache-2.0
"""The runs that give the figures: which guest is booted, what it does, what is taken from it."""

import collections
import dataclasses
import os
import re
import statistics
import time

from . import figures, session

WORK_IDS = {"B1", "B2", "B2a", "B3", "B4", "B4k", "B4i", "B5", "B5x", "B5s", "B6", "B6x", "B6d",
            "B6s", "B6w", "B6i", "B9", "B9m", "B9k", "B10", "B10r", "B11", "B11p10", "B11p50", "B11p99", "B11s", "B11r", "B12", "B12w", "B12q", "B12p10", "B12p50", "B12p99", "B13", "B13b"}
SETUP_IDS = {"B7r", "B7i", "B8", "B8u"}
SMP_IDS = {"B5c", "B5p"}
SCALE = {1: "B12s1", 2: "B12s2", 4: "B12s4"}
KVM_RUN, SET_GSI_ROUTING = 0xae80, 0x4008ae6a
SMP_CPUS = 4


@dataclasses.dataclass
class Effort:
    """How much: operations counted, operations timed, boots of each monitor, starts."""

    count: int
    timed: int
    deep: int
    stream_kib: int
    reps: int
    starts: int
    smp: int


QUICK = Effort(count=300, timed=500, deep=1000, stream_kib=4096, reps=1, starts=1, smp=60)
FULL = Effort(count=2000, timed=2000, deep=4000, stream_kib=16384, reps=5, starts=5, smp=300)


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

    def median(self, figure, config):
        values = self.samples.get((figure, config))
        return statistics.median(values) if values else None


class Bench:
    """place: a Place (bed, files); wanted: ids; effort: how much."""

    def __init__(self, place, configs, wanted, effort, results):
        self.place, self.configs, self.wanted = place, configs, wanted
        self.effort, self.results = effort, results

    def need(self, *ids):
        return any(i in self.wanted for i in ids)

    def run(self):
        runs = [(WORK_IDS, self.work, self.effort.reps), (SETUP_IDS, self.setup, 1),
                ({"B7"}, self.startup_calls, 1), (SMP_IDS, self.smp, 1),
                (set(SCALE.values()), self.scale, 1), ({"B14"}, self.starts, 1),
                ({"B14c"}, self.many_starts, 1)]
        for ids, run, reps in runs:
            if not self.need(*ids):
                continue
            for rep in range(reps):
                for config in self.configs:
                    self.guarded(run, config, rep)
        if self.need("B15"):
            for config in self.configs:
                self.results.add("B15", config.name, os.path.getsize(
                    self.place.paths[config.program]))

    def guarded(self, run, config, rep):
        """One monitor that does not work must not spoil the figures of the others."""
        self.results.say(f"{config.name}: {run.__name__.replace('_', ' ')}, round {rep + 1}")
        try:
            run(config)
        except session.RunError as e:
            self.results.failed.append(f"{config.name}, {run.__name__}: {e}")
            self.results.say(f"FAILED {config.name}: {e}")

    def session(self, config, **machine):
        return session.Session(self.place.bed, self.place.argv(config, **machine))

    # ---- counts and times ----

    def work(self, config):
        with self.session(config) as s:
            self.boot(s, config)
            self.memory(s, config)
            if self.need(*figures.BLK.values(), *figures.RR.values(), *figures.DEEP.values(),
                         "B4i", "B5", "B6i"):
                self.counts(s, config)
            self.times(s, config)
            s.stop()

    def boot(self, s, config):
        s.command("entry on")
        total, kernel = s.boot()
        entry = s.first_entry()
        monitor = (entry - s.began) / 1e9 if entry else 0.0
        self.results.add("B9", config.name, total)
        self.results.add("B9k", config.name, kernel)
        if entry:
            self.results.add("B9m", config.name, monitor)
        self.results.stages[config.name].append((monitor, total - monitor - kernel, kernel))

    def memory(self, s, config):
        if not self.need("B10", "B10r"):
            return
        m = s.memory(self.place.machine.memory)
        if m["guest"] < self.place.machine.memory << 20:
            raise session.RunError(f"{config.name}: guest memory not found among its mappings")
        self.results.add("B10", config.name, m["own"])
        self.results.add("B10r", config.name, m["rss"])

    def counts(self, s, config):
        s.command("trace on")
        marks, _ = s.phase("nop")
        n = self.effort.count
        if self.need(*figures.BLK.values(), "B4i"):
            self.counted(s, config, marks, "read", f"blk n={n}", n, figures.BLK, "B4i")
        if self.need(*figures.DEEP.values(), "B5"):
            deep = self.effort.deep
            self.counted(s, config, marks, "deep", f"blk n={deep} depth=32", deep, figures.DEEP,
                         "B5")
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
        n, deep, kib = self.effort.timed, self.effort.deep, self.effort.stream_kib
        if self.need("B12", "B12p10", "B12p50", "B12p99", "B13b"):
            self.timed(s, config, "B12", f"blk n={n}", latency="read")
        if self.need("B12w"):
            self.timed(s, config, "B12w", f"blk n={n} write=1")
        if self.need("B12q"):
            self.timed(s, config, "B12q", f"blk n={deep} depth=32")
        if self.need("B11", "B11p10", "B11p50", "B11p99", "B13"):
            self.timed(s, config, "B11", f"rr n={n}", latency="rr")
        if self.need("B11s"):
            self.timed(s, config, "B11s", f"stream kib={kib} out=1", scale=1024)
        if self.need("B11r"):
            self.timed(s, config, "B11r", f"stream kib={kib} out=0", scale=1024)

    def timed(self, s, config, figure, work, scale=1, latency=None):
        _, report = s.phase(work, 300)
        res = report["res"]
        self.results.add(figure, config.name, res["n"] / scale / (res["ns"] / 1e9))
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
        if not config.multi:
            return
        n = self.effort.smp
        with self.session(config, cpus=SMP_CPUS, queues=SMP_CPUS) as s:
            s.boot()
            here = total = calls = 0
            for cpu in range(SMP_CPUS):
                _, report = s.phase(f"blk n={n} cpu={cpu} seed={cpu + 1}")
                irq = report["irq"]
                here += irq[f"cpu{cpu}"]
                total += device_irqs(report)
                calls += irq["calls"]
            s.stop()
        if not total:
            raise session.RunError(f"{config.name}: no interrupts counted")
        self.results.add("B5c", config.name, 100 * here / total)
        self.results.add("B5p", config.name, calls / n / SMP_CPUS)

    def scale(self, config):
        for queues, figure in SCALE.items():
            if figure not in self.wanted or (queues > 1 and not config.multi):
                continue
            with self.session(config, cpus=SMP_CPUS, queues=queues) as s:
                s.boot()
                self.timed(s, config, figure, f"blk n={self.effort.smp} jobs={SMP_CPUS} depth=4")
                s.stop()

    # ---- starts ----

    def starts(self, config):
        spent = []
        for _ in range(self.effort.starts):
            with self.session(config) as s:
                s.boot()
                spent.append((s.stop() - s.began) / 1e9)
        self.results.add("B14", config.name, len(spent) / sum(spent))

    def many_starts(self, config):
        """Each with a disk and a tap of its own; not in the test bed, which has one CPU."""
        if self.place.bed.emulated:
            return
        began, done = time.monotonic(), 0
        for _ in range(self.effort.starts):
            runs = [self.session(config, number=i) for i in range(8)]
            try:
                for s in runs:
                    s.tell("start")
                for s in runs:
                    s.console("@up", 120, "boot")
                    s.stop()
                    done += 1
            finally:
                for s in runs:
                    s.__exit__()
        self.results.add("B14c", config.name, done / (time.monotonic() - began))


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
