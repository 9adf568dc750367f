# SPDX-License-Identifier: Apache-2.0
"""One run of a monitor under the meter: boot, phases with counters before and after, end."""

import collections
import re
import time

from . import artifacts

HISTS = ("kvm/kvm_exit=common_pid,exit_reason", "kvm/kvm_userspace_exit=common_pid,reason",
         "kvm/kvm_pio=common_pid,port",
         "raw_syscalls/sys_enter=common_pid,id", "sched/sched_wakeup=pid",
         "workqueue/workqueue_execute_start=function.sym", "syscalls/sys_enter_ioctl=common_pid,cmd")
CONSOLE_PORTS = range(0x3f8, 0x400)
MOMENT = re.compile(r"(?:t \d+ )?(started|go|@up|@done|stopped)\b")
HIST_LINE = re.compile(r"^(\S+) \{ (.*?) *\} hitcount: +(\d+)")


class RunError(Exception):
    """The guest or its monitor did not do what was asked; the text has its last words."""


class Snapshot:
    """Counters at one moment: kvm[name], hist[event][key tuple], threads of the monitor."""

    def __init__(self, ns):
        self.ns = ns
        self.kvm = collections.Counter()
        self.hist = collections.defaultdict(collections.Counter)
        self.tasks = {}

    def add(self, line):
        word, _, rest = line.partition(" ")
        if word == "kvm":
            name, value = rest.split()
            self.kvm[name] += int(value)
        elif word == "task":
            _pid, tid, comm = rest.split(" ", 2)
            self.tasks[int(tid)] = comm
        elif word == "hist":
            m = HIST_LINE.match(rest)
            if not m:
                raise RunError(f"the kernel dropped events: {rest}")
            keys = tuple(part.split(":", 1)[1].strip() for part in m[2].split(", "))
            self.hist[m[1]][keys] += int(m[3])


class Delta:
    """The difference of two snapshots, of the monitor's own threads where a thread is named."""

    def __init__(self, before, after):
        self.ns = after.ns - before.ns
        self.tasks = {**before.tasks, **after.tasks}
        self.kvm = collections.Counter(after.kvm)
        self.kvm.subtract(before.kvm)
        self.hist = {}
        for event in set(before.hist) | set(after.hist):
            self.hist[event] = collections.Counter(after.hist[event])
            self.hist[event].subtract(before.hist[event])

    def by_key(self, event, index):
        """Sums of an event in the monitor's threads, by one of its other keys."""
        out = collections.Counter()
        for keys, n in self.hist.get(event, {}).items():
            if n and int(keys[0]) in self.tasks:
                out[int(keys[index], 0)] += n
        return out

    def console_exits(self):
        """Exits of the guest's serial port: the phase's marks, no part of its work."""
        ports = self.by_key("kvm/kvm_pio", 1)
        return sum(ports[port] for port in CONSOLE_PORTS)

    def vcpus(self):
        """Threads that entered a guest."""
        return {int(keys[0]) for keys, n in self.hist.get("kvm/kvm_exit", {}).items() if n}

    def wakeups(self):
        """Of the monitor's threads: (those that run vCPUs, the others)."""
        vcpus, counts = self.vcpus(), [0, 0]
        for keys, n in self.hist.get("sched/sched_wakeup", {}).items():
            tid = int(keys[0])
            if tid in self.tasks:
                counts[tid not in vcpus] += n
        return tuple(counts)

    def work(self, function):
        return sum(n for keys, n in
                   self.hist.get("workqueue/workqueue_execute_start", {}).items()
                   if re.search(rf"\b{function}\b", keys[0]))


class Session:
    """Starts the meter, not yet the monitor; use as a context manager. clock: the seconds that
    an emulated machine has been computing, or nothing."""

    def __init__(self, bed, argv, hists=HISTS, clock=None):
        meter = [bed.put(artifacts.meter())]
        for spec in hists:
            meter += ["--hist", spec]
        self.lines = []
        self.seen = 0
        self.began = 0
        self.lived = 0.0
        self.clock = clock
        self.idle = 0.0         # s that the machine under the monitor has been idle
        self.moments = {}       # moment -> s
        self.process = bed.start([*meter, "--", *argv], on_line=self.take)

    def take(self, line):
        if line.startswith("idle "):
            self.idle = float(line.split()[1])
            return
        m = self.clock and MOMENT.match(line)
        if m:
            self.moments[m[1]] = self.clock() + self.idle
        self.lines.append(line)

    def seconds(self, first, last, measured):
        """Between two moments: measured, or on the clock given what was computed and waited."""
        if not self.clock:
            return measured
        return self.moments[last] - self.moments[first]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.close_input()
        if not self.process.poll(10):
            self.process.kill()
            self.process.wait(60)

    def tell(self, line):
        self.process.write((line + "\n").encode())

    def until(self, test, seconds, what):
        """The lines up to the first one that passes the test; it is the last of them."""
        end, out = time.monotonic() + seconds, []
        while True:
            while self.seen < len(self.lines):
                line = self.lines[self.seen]
                self.seen += 1
                out.append(line)
                if test(line):
                    return out
                if re.match(r"error |t \d+ @(fail|gone)", line):
                    self.process.poll(0.3)
                    raise RunError(f"{what}: {line}; {self.last_words()}")
            if self.process.poll(0.02):
                raise RunError(f"{what}: the meter ended; {self.last_words()}")
            if time.monotonic() > end:
                raise RunError(f"{what}: nothing after {seconds} s; {self.last_words()}")

    def last_words(self):
        err = bytes(self.process.out.data[2]).decode(errors="replace").strip()
        said = [line for line in self.lines if not re.match("hist|kvm|task", line)]
        return " / ".join(said[-8:] + err.split("\n")[-6:])

    def console(self, prefix, seconds, what):
        """Waits for a line of the guest; (its time in ns, the rest of it)."""
        pattern = re.compile(rf"t (\d+) .*{prefix}")
        line = self.until(pattern.match, seconds, what)[-1]
        return int(pattern.match(line)[1]), line.split(prefix, 1)[1].strip()

    def command(self, line, seconds=30):
        self.tell(line)
        return self.until(lambda text: text == "ok", seconds, line)

    def boot(self, seconds=180):
        """Starts the monitor; seconds until the guest's first process: on the clock, on the
        machine's own clock, on the guest's own from where that begins."""
        lines = self.command("start")
        self.began = next(int(line.split()[1]) for line in lines if line.startswith("started"))
        ns, text = self.console("@up", seconds, "boot")
        wall = (ns - self.began) / 1e9
        return self.seconds("started", "@up", wall), wall, int(text.split()[0]) / 1e9

    def snapshots(self, lines):
        """Every snapshot in the lines, by its tag."""
        out, current = {}, None
        for line in lines:
            if line.startswith("snap "):
                _, tag, ns = line.split()
                current = out[tag] = Snapshot(int(ns))
            elif line == "snapped":
                current = None
            elif current:
                current.add(line)
        return out

    def snap(self):
        return self.snapshots(self.command("snap"))["now"]

    def first_entry(self):
        """ns of the first entry into the guest, on the meter's clock."""
        for line in self.command("entry"):
            m = re.search(r"(\d+)\.(\d{6}): <stack trace>", line)
            if m:
                return int(m[1]) * 10**9 + int(m[2]) * 1000
        return None

    def memory(self, mib):
        return {line.split()[1]: int(line.split()[2])
                for line in self.command(f"memory {mib}") if line.startswith("mem ")}

    def phase(self, work, seconds=120):
        """Has the guest do its work once. (Delta of the counters, what the guest has measured)."""
        self.tell("say " + work)
        self.console("@ready", seconds, work)
        lines = self.command("phase", seconds)
        if not any("@end" in line for line in lines):
            lines += self.until(lambda line: "@end" in line, seconds, work)
        snaps = self.snapshots(lines)
        if len(snaps) < 2:
            raise RunError(f"{work}: no counters; {self.last_words()}")
        delta, report = Delta(snaps["before"], snaps["after"]), guest_report(lines)
        if "ns" in report["res"]:
            report["res"]["s"] = self.seconds("go", "@done", report["res"]["ns"] / 1e9)
        return delta, report

    def stop(self):
        for line in self.command("stop"):
            if line.startswith("stopped"):
                self.lived = (int(line.split()[1]) - self.began) / 1e9
                return
        raise RunError("the monitor is not stopped")

    def end(self):
        self.command("end")


def guest_report(lines):
    """What the guest printed: res and irq as dicts of numbers, lat as (per mille, ns) pairs."""
    out = {"res": {}, "irq": {}, "lat": []}
    for line in lines:
        m = re.match(r"t \d+ @(res|irq|lat) (.*)", line)
        if not m:
            continue
        pairs = [re.split("[=:]", p) for p in m[2].split()]
        if m[1] == "lat":
            out["lat"] = [(int(k), int(v)) for k, v in pairs]
        else:
            out[m[1]] = {k: int(v) for k, v in pairs}
    return out
