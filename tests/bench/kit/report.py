# SPDX-License-Identifier: Apache-2.0
"""The table, the goals and the JSON."""

import json
import statistics

from .figures import FIGURES

REFERENCE = "mimsy-msi"


def entries(results, emulated):
    """One object for each figure and configuration, in the figures' order."""
    out = []
    for figure in FIGURES.values():
        for (ident, config), values in results.samples.items():
            if values and ident == figure.id:
                out.append({"id": ident, "figure": figure.name, "unit": figure.unit,
                            "config": config, "value": statistics.median(values),
                            "n": len(values), "min": min(values), "max": max(values),
                            "emulated": bool(emulated and figure.timed)})
    return out


def derive(results):
    """B13 is a ratio of two configurations."""
    for ident, base in (("B13", "B11"), ("B13b", "B12")):
        on = results.samples.get((base, "mimsy-msi"), [])
        off = results.samples.get((base, "mimsy-msi-nodoorbell"), [])
        for a, b in zip(on, off):
            results.add(ident, "mimsy-msi", a / b)


def number(value, digits):
    if abs(value) < 0.5 * 10 ** -digits:
        value = 0.0
    return f"{value:,.{digits}f}"


def ratio(value, reference):
    if reference is None or abs(reference) < 0.005:
        return "-"
    return f"{value / reference:.2f}"


def table(rows):
    """Text: a block for each figure; the last column is the value by that of mimsy-msi."""
    lines = []
    for ident, figure in FIGURES.items():
        block = [r for r in rows if r["id"] == ident]
        if not block:
            continue
        mark = ", emulated" if block[0]["emulated"] else ""
        lines.append(f"\n{ident}: {figure.name} [{figure.unit}{mark}], {figure.better} is better")
        reference = next((r["value"] for r in block if r["config"] == REFERENCE), None)
        for r in block:
            spread = "" if r["n"] == 1 else (f"{number(r['min'], figure.digits)} .. "
                                             f"{number(r['max'], figure.digits)}")
            lines.append(f"  {r['config']:24} {number(r['value'], figure.digits):>12}"
                         f"  {ratio(r['value'], reference):>7}  n={r['n']:<3} {spread}".rstrip())
    return "\n".join(lines).lstrip("\n")


HEAD = "Value (median), its ratio to mimsy-msi's, number of runs, least .. greatest."
EMULATED = """
Counts are exact. Times are emulated: a second is one for which the emulator was running or the
emulated machine was idle. They are of use only as ratios within this table."""


def head(emulated):
    return HEAD + (EMULATED if emulated else "") + "\n\n"


# A timer or a late wake-up may fall into a phase: this much of an operation is no change of design.
NOISE = 0.02


def zero(*values):
    return all(v <= NOISE for v in values)


class Goals:
    """The goals of the project's data plane, each against what this run has measured."""

    def __init__(self, results):
        self.get = results.median
        self.rows = []

    def add(self, text, goal, met, *values):
        """values: ours, then what it is compared with."""
        if any(v is None for v in values):
            self.rows.append((text, goal, "-", "not measured"))
            return
        shown = ", ".join(f"{v:.0f}" if v >= 100 or v == 0 else f"{v:.2f}" for v in values)
        self.rows.append((text, goal, shown, "met" if met(*values) else "MISSED"))

    def quotient(self, figure, a, b):
        x, y = self.get(figure, a), self.get(figure, b)
        return x / y if x is not None and y else None

    def all(self):
        self.counts()
        self.ratios()
        self.start()
        return self.rows

    def counts(self):
        get, add = self.get, self.add
        add("exits to the monitor: per read, per TCP transaction", "0.00", zero,
            get("B1", "mimsy-msi"), get("B6", "mimsy-msi"))
        add("all exits per TCP transaction: mimsy-msi, qemu-q35", "below it", lambda a, b: a < b,
            get("B6x", "mimsy-msi"), get("B6x", "qemu-q35"))
        add("all exits per TCP transaction: mimsy-msi-vhost, qemu-q35-vhost", "below it",
            lambda a, b: a < b, get("B6x", "mimsy-msi-vhost"), get("B6x", "qemu-q35-vhost"))
        add("system calls of the monitor per read", "<= 2", lambda v: v <= 2 + NOISE,
            get("B3", "mimsy-msi"))
        add("with vhost, per TCP transaction: system calls, wake-ups of the monitor", "0, 0", zero,
            get("B6s", "mimsy-msi-vhost"), get("B6w", "mimsy-msi-vhost"))
        add("completions on the CPU that submitted, 4 queues, 4 CPUs, %", ">= 99",
            lambda v: v >= 99, get("B5c", "mimsy-msi"))
        add("IPIs to that CPU per read", "0", zero,
            get("B5p", "mimsy-msi"))

    def ratios(self):
        for figure, what in (("B11", "TCP transactions/s"), ("B12", "reads/s, depth 1"),
                             ("B12q", "reads/s, depth 32")):
            self.add(f"{what}: mimsy-msi / qemu-q35", ">= 1.0", lambda v: v >= 1,
                     self.quotient(figure, "mimsy-msi", "qemu-q35"))
        self.add("TCP transactions/s: mimsy-msi / mimsy-single", ">= 1.356", lambda v: v >= 1.356,
                 self.quotient("B11", "mimsy-msi", "mimsy-single"))
        self.add("reads/s, depth 1: mimsy-msi / mimsy-single", ">= 1.337", lambda v: v >= 1.337,
                 self.quotient("B12", "mimsy-msi", "mimsy-single"))

    def start(self):
        add, get = self.add, self.get
        add("start to the guest's init: mimsy-msi / qemu-microvm", "<= 0.5", lambda v: v <= 0.5,
            self.quotient("B9", "mimsy-msi", "qemu-microvm"))
        add("system calls from exec to the first KVM_RUN", "<= 150", lambda v: v <= 150,
            get("B7", "mimsy-msi"))
        memory = get("B10", "mimsy-msi")
        add("private memory, MiB", "< 1", lambda v: v < 1,
            None if memory is None else memory / 2**20)


def goals_text(results, whole):
    """whole: everything was asked for, so what is missing is named."""
    rows = [r for r in Goals(results).all() if whole or r[3] != "not measured"]
    if not rows:
        return ""
    rows.insert(0, ("goal", "wanted", "measured", ""))
    widths = [max(len(r[i]) for r in rows) for i in range(4)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(r, widths)).rstrip() for r in rows)


def write_json(path, data):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(data, f, indent=1)
        f.write("\n")
