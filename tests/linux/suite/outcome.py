# SPDX-License-Identifier: Apache-2.0
"""What a guest has said and how its monitor ended, and the checks on both."""

import dataclasses
import re


class Failure(Exception):
    """A test's expectation that was not met."""


class Skip(Exception):
    """A test that does not apply here; the text says why."""


def expect(truth, reason):
    if not truth:
        raise Failure(reason)


@dataclasses.dataclass
class Irq:
    """A line of the guest's /proc/interrupts."""

    irq: int
    chip: str
    name: str
    affinity: str
    effective: str
    counts: list

    @property
    def total(self):
        return sum(self.counts)

    @property
    def cpus(self):
        """The CPUs that took it."""
        return [cpu for cpu, n in enumerate(self.counts) if n]


def cpu_set(text):
    """"0-2, 5" as a set."""
    out = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        out |= set(range(int(first), int(last or first) + 1))
    return out


class Outcome:
    def __init__(self, result, stats):
        self.status, self.timed_out, self.stats = result.status, result.timed_out, stats
        self.log = result.stderr.decode(errors="replace")
        self.results = {}       # test -> "" or the reason of its failure
        self.tables = []        # one {name: Irq} per test_irqs
        self.mq = {}            # (device, queue) -> CPUs
        self.words = {}         # further MIMSY-WORD lines: word -> list of their rests
        for line in result.stdout.decode(errors="replace").replace("\r", "").split("\n"):
            m = re.search(r"MIMSY-([A-Z]+) ?(.*)", line)
            if m:
                self._line(m.group(1), m.group(2))

    def _line(self, word, rest):
        if word == "RESULT":
            verdict, _, text = rest.partition(" ")
            name, _, reason = text.partition(": ")
            if not self.results.get(name):
                self.results[name] = "" if verdict == "ok" else reason or "no reason given"
        elif word == "TABLE":
            self.tables.append({})
        elif word == "IRQ" and self.tables:
            f = rest.split()
            irq = Irq(int(f[0]), f[1], f[2], f[3], f[4], [int(n) for n in f[5:]])
            self.tables[-1][irq.name] = irq
        elif word == "MQ":
            device, _, queue, cpus = rest.split(maxsplit=3)
            self.mq[device, int(queue)] = cpu_set(cpus)
        else:
            self.words.setdefault(word, []).append(rest)

    def check(self, *tests, status=0):
        """The guest ran these tests, each was fine, and the monitor ended with that status."""
        expect(not self.timed_out, "the guest did not end in time")
        last = (self.log.strip() or "nothing").split("\n")[-1]
        expect(self.results or self.status == status,
               f"exit status {self.status}, the guest did nothing; the monitor said: {last}")
        for name, reason in self.results.items():
            expect(not reason, f"{name}: {reason}")
        for name in tests:
            expect(name in self.results, f"the guest's test {name} did not report")
        expect(self.status == status, f"exit status {self.status}, expected {status}")
        return self

    def irq(self, name, table=-1):
        expect(self.tables, "the guest printed no table of interrupts")
        expect(name in self.tables[table],
               f"no interrupt {name}, only {', '.join(sorted(self.tables[table]))}")
        return self.tables[table][name]

    def names(self, prefix, table=-1):
        expect(self.tables, "the guest printed no table of interrupts")
        return sorted(n for n in self.tables[table] if n.startswith(prefix))

    def fired(self, name):
        """The line's counts per CPU since the first table."""
        now = self.irq(name)
        first = self.tables[0].get(name)
        return [n - (first.counts[i] if first and len(self.tables) > 1 else 0)
                for i, n in enumerate(now.counts)]

    def check_fired(self, *names):
        for name in names:
            expect(sum(self.fired(name)) > 0, f"{name} never fired")

    def check_disk_vectors(self, device, queues):
        """Each queue's own vector fired, on the CPU whose requests the queue takes."""
        for q in range(queues):
            name = f"{device}-req.{q}"
            self.check_fired(name)
            cpus = self.mq.get((device, q))
            expect(cpus, f"{device} has no queue {q}")
            strays = [c for c, n in enumerate(self.fired(name)) if n and c not in cpus]
            expect(not strays, f"{name} fired on CPUs {strays}, its queue serves {sorted(cpus)}")

    def device(self, idx):
        """Stats of the idx-th device on the command line, disks first."""
        expect(self.stats, "the monitor wrote no statistics")
        return self.stats["devices"][idx]

    @property
    def routing_calls(self):
        expect(self.stats, "the monitor wrote no statistics")
        return self.stats["routing"]["set_gsi_routing"]
