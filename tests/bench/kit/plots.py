# SPDX-License-Identifier: Apache-2.0
"""The plots: gnuplot scripts with their data inside, drawn as SVG."""

import os
import shutil
import statistics
import subprocess

from . import figures, monitors

# Reasons from the dearest to the cheapest, and colours that the colour-blind tell apart.
REASONS = ((figures.MONITOR, "#d55e00"), (figures.KICK, "#0072b2"), (figures.EOI_EXIT, "#56b4e9"),
           (figures.PORT, "#009e73"), (figures.MSR, "#e69f00"), ("interrupt window", "#cc79a7"),
           ("host interrupt", "#999999"), ("halt", "#f0e442"), (figures.TOUCH, "#332288"),
           (figures.CPUID, "#88ccee"), (figures.OTHER_EXIT, "#444444"))
STAGES = (("monitor, to the first entry into the guest", "#0072b2"),
          ("firmware, and the kernel until its clock runs", "#e69f00"),
          ("guest kernel until init", "#009e73"))
LINES = {"mimsy-msi": "#0072b2", "mimsy-shared": "#56b4e9", "mimsy-single": "#e69f00",
         "mimsy-msi-vhost": "#000000", "qemu-microvm": "#cc79a7", "qemu-q35": "#009e73",
         "qemu-q35-vhost": "#d55e00"}
OTHER_LINE = "#999999"
KEY = "bmargin center horizontal Left reverse samplen 1.5 width 2"
HEAD = """set terminal svg size {width},{height} dynamic enhanced font "DejaVu Sans,13" background "white"
set output "{file}"
set border 3 lc rgb "#666666"
set tics nomirror textcolor rgb "#333333"
set grid {grid} lc rgb "#dddddd" lt 1
set key {key} textcolor rgb "#333333"
"""


def order(names):
    known = [c.name for c in monitors.CONFIGS]
    return sorted(set(names), key=known.index)


def main_ones(names):
    """Those of a quick run, or all if there are none of them: lines are hard to tell apart."""
    few = {c.name for c in monitors.CONFIGS if c.few}
    return [n for n in names if n in few] or names


def quote(text):
    return '"' + text.replace('"', "'") + '"'


def block(name, rows):
    return f"${name} << EOD\n" + "\n".join(" ".join(map(str, r)) for r in rows) + "\nEOD\n"


def middle(runs):
    """The run with the median sum: unlike medians of the parts, its parts add up to it."""
    return sorted(runs, key=lambda run: sum(run.values()))[(len(runs) - 1) // 2]


def bars(names, parts, value):
    """Script for horizontal stacked bars: boxxyerror needs x, y, xlow, xhigh, ylow, yhigh."""
    rows, most = {label: [] for label, _ in parts}, 0.0
    totals = []
    for i, name in enumerate(reversed(names)):
        left = 0.0
        for label, _ in parts:
            right = left + value(name, label)
            rows[label].append((left, i, left, right, i - 0.36, i + 0.36))
            left = right
        totals.append((left, i, f"{left:.{1 if left >= 1 else 2}f}"))
        most = max(most, left)
    used = [(n, p) for n, p in enumerate(parts) if any(r[3] - r[2] > 0.004 for r in rows[p[0]])]
    text = "".join(block(f"part{n}", rows[p[0]]) for n, p in used) + block("total", totals)
    text += "set ytics (" + ", ".join(f"{quote(n)} {i}" for i, n in
                                      enumerate(reversed(names))) + ")\n"
    text += f"set yrange [-0.6:{len(names) - 0.4}]\nset xrange [0:{most * 1.12:.4f}]\n"
    plots = [f'$part{n} with boxxyerror fs solid 1 noborder lc rgb "{p[1]}" title {quote(p[0])}'
             for n, p in used]
    plots.append('$total using 1:2:3 with labels left offset 0.6,0 tc rgb "#333333" notitle')
    return text + "plot " + ", \\\n".join(plots) + "\n"


class Layout:
    """Panels of bars below each other, in pixels; each has its title above and its scale below."""

    TITLE, ROW, HEAD, SCALE = 60, 26, 40, 46

    def __init__(self, *rows, extra=0):
        """rows: bars of each panel; extra: more room below each but the last (for its key)."""
        self.boxes, y = [], self.TITLE
        for n in rows:
            self.boxes.append((y + self.HEAD, y + self.HEAD + self.ROW * n + 10))
            y = self.boxes[-1][1] + self.SCALE + extra
        self.height = y + (0 if extra else 90)

    def panel(self, n):
        top, bottom = (1 - v / self.height for v in self.boxes[n])
        return f"set tmargin at screen {top:.4f}\nset bmargin at screen {bottom:.4f}\n"


def multiplot(panels, title):
    return f'set multiplot layout {panels},1 title {quote(title)} font "DejaVu Sans,17"\n'


def exits(_rows, facts, _mark):
    panels = [("read", "4k random read, one at a time"), ("rr", "TCP transaction"),
              ("deep", "4k random read, 32 at a time")]
    reasons = facts["exits_by_reason"]
    panels = [(w, t) for w, t in panels if any(k.startswith(w + "/") for k in reasons)]
    if not panels:
        return None
    names = order(k.split("/")[1] for k in reasons)
    layout = Layout(*[len(names)] * len(panels))
    text = HEAD.format(width=980, height=layout.height, file="exits.svg", grid="x", key="off")
    text += multiplot(len(panels), "Exits per operation, by reason")
    text += "set lmargin 26\nset rmargin 6\n"
    for n, (work, title) in enumerate(panels):
        text += layout.panel(n) + f'set title {quote(title)} font "DejaVu Sans,14"\n'
        if n == len(panels) - 1:
            text += f'set key on {KEY}\nset xlabel "exits per operation"\n'
        text += bars(names, REASONS,
                     lambda n, label, w=work: middle(reasons.get(f"{w}/{n}", [{}])).get(label, 0.0))
    return text + "unset multiplot\n"


def latency(_rows, facts, mark):
    runs = facts["latency_ns"]
    panels = [("read", "4k random read, one at a time"), ("rr", "TCP round trip")]
    panels = [(w, t) for w, t in panels if any(k.startswith(w + "/") for k in runs)]
    if not panels:
        return None
    text = HEAD.format(width=980, height=90 + 400 * len(panels), file="latency.svg", grid="x y",
                       key="inside right bottom Left reverse samplen 2")
    text += multiplot(len(panels), "Latency" + mark)
    text += 'set logscale x\nset ylabel "% of operations within"\nset yrange [0:100]\n'
    text += 'set format x "%g"\nset rmargin 6\n'
    for work, title in panels:
        names = main_ones(order(k.split("/")[1] for k in runs if k.startswith(work + "/")))
        lines, ends = [], []
        for n, name in enumerate(names):
            points = cdf(runs[f"{work}/{name}"])
            ends += [points[0][0], points[-1][0]]
            text += block(f"{work}{n}", points)
            color = LINES.get(name, OTHER_LINE)
            lines.append(f'${work}{n} with lines lw 2.2 lc rgb "{color}" title {quote(name)}')
        text += f'set title {quote(title)} font "DejaVu Sans,14"\n'
        text += f'set xlabel "microseconds{mark}"\nset xtics ({ticks(min(ends), max(ends))})\n'
        text += f"set xrange [{min(ends) * 0.9:.1f}:{max(ends) * 1.1:.1f}]\n"
        text += "plot " + ", \\\n".join(lines) + "\n"
    return text + "unset multiplot\n"


def ticks(low, high):
    steps = [d * 10 ** e for e in range(7) for d in (1, 2, 5)]
    return ", ".join(f'"{t:,}" {t}' for t in steps if low * 0.9 <= t <= high * 1.1)


def cdf(runs):
    """Median over the runs of each percentile: (us, per cent). The least one says nothing."""
    return [(statistics.median(dict(run)[p] for run in runs) / 1e3, p / 10)
            for p, _ in runs[0] if 0 < p < 1000]


def scaling(rows, _facts, mark):
    points = {"B12s1": 1, "B12s2": 2, "B12s4": 4}
    rows = [r for r in rows if r["id"] in points]
    names = main_ones(order(r["config"] for r in rows))
    if not names:
        return None
    text = HEAD.format(width=860, height=480, file="scaling.svg", grid="y",
                       key="outside right top Left reverse samplen 2")
    title = "4k random reads by four jobs on four vCPUs" + mark
    if mark:
        title += "\\n{/*0.8 The machine below has one CPU: this is work per read, not parallelism}"
    text += (f'set title {quote(title)} font "DejaVu Sans,15"\nset xlabel "queues of the disk"\n'
             f'set ylabel "reads per second{mark}"\nset yrange [0:*]\nset xtics (1,2,4)\n'
             'set xrange [0.8:4.2]\n')
    lines = []
    for n, name in enumerate(names):
        # Beside each other, so that the spreads can be told apart.
        shift = 0.03 * (n - (len(names) - 1) / 2)
        text += block(f"s{n}", [(points[r["id"]] + shift, r["value"], r["min"], r["max"])
                                for r in rows if r["config"] == name])
        lines.append(f'$s{n} with yerrorlines lw 2 pt 7 ps 0.6 lc rgb '
                     f'"{LINES.get(name, OTHER_LINE)}" title {quote(name)}')
    return text + "plot " + ", \\\n".join(lines) + "\n"


def boot(_rows, facts, mark):
    stages, reasons = facts["boot_stages_s"], facts["exits_by_reason"]
    if not stages:
        return None
    names, labels = order(stages), [label for label, _ in STAGES]
    counted = order(k.split("/")[1] for k in reasons if k.startswith("boot/"))
    layout = Layout(*[len(n) for n in (names, counted) if n], extra=140)
    text = HEAD.format(width=980, height=layout.height, file="boot.svg", grid="x", key=KEY)
    text += multiplot(len(layout.boxes),
                      "From the start of the monitor to the guest's first process")
    text += layout.panel(0)
    text += f'set lmargin 26\nset rmargin 7\nset title "Time{mark}"\nset xlabel "seconds{mark}"\n'
    text += bars(names, STAGES, lambda name, label: statistics.median(
        max(0.0, run[labels.index(label)]) for run in stages[name]))
    if counted:
        text += layout.panel(1) + 'set title "Exits, by reason"\nset xlabel "thousands of exits"\n'
        text += bars(counted, REASONS,
                     lambda n, label: middle(reasons[f"boot/{n}"]).get(label, 0.0) / 1e3)
    return text + "unset multiplot\n"


def draw(rows, facts, out):
    """Writes the SVG files that the data give; the names of those that were drawn."""
    gnuplot = shutil.which("gnuplot")
    if not gnuplot:
        print("no plots: gnuplot is not installed (package gnuplot-nox)")
        return []
    mark = " (emulated)" if "TCG" in facts["facts"].get("place", "") else ""
    drawn = []
    for name, plot in (("exits", exits), ("latency", latency), ("scaling", scaling),
                       ("boot", boot)):
        script = plot(rows, facts, mark)
        if not script:
            continue
        r = subprocess.run([gnuplot], input=script, cwd=out, text=True, capture_output=True,
                           check=False)
        if r.returncode or not os.path.exists(os.path.join(out, name + ".svg")):
            print(f"no plot {name}: {r.stderr.strip()[-300:]}")
        else:
            drawn.append(name + ".svg")
    return drawn
