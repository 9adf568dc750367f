# SPDX-License-Identifier: Apache-2.0
"""The plots: gnuplot scripts with their data inside, drawn as SVG."""

import os
import shutil
import statistics
import subprocess

from . import monitors

# Reasons from the dearest to the cheapest, and colours that the colour-blind tell apart.
REASONS = (("memory (MMIO, kicks)", "#0072b2"), ("EOI", "#56b4e9"), ("port I/O", "#009e73"),
           ("MSR (timer, EOI, IPI)", "#e69f00"), ("interrupt window", "#cc79a7"),
           ("host interrupt", "#999999"), ("halt", "#f0e442"), ("other", "#444444"))
STAGES = (("monitor", "#0072b2"), ("firmware, kernel before its clock runs", "#e69f00"),
          ("guest kernel to init", "#009e73"))
LINES = {"mimsy-msi": "#0072b2", "mimsy-shared": "#56b4e9", "mimsy-single": "#e69f00",
         "mimsy-msi-nodoorbell": "#7a5c00", "mimsy-msi-vhost": "#000000",
         "mimsy-single-vhost": "#b8860b", "qemu-microvm": "#cc79a7", "qemu-q35": "#009e73",
         "qemu-q35-vhost": "#d55e00"}
OTHER_LINE = "#999999"
KEY = "outside bottom center horizontal Left reverse samplen 1.5 width 2"
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


def quote(text):
    return '"' + text.replace('"', "'") + '"'


def block(name, rows):
    return f"${name} << EOD\n" + "\n".join(" ".join(map(str, r)) for r in rows) + "\nEOD\n"


def mean_of(dicts, key):
    return statistics.mean(d.get(key, 0.0) for d in dicts)


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
        totals.append((left, i, f"{left:.1f}"))
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


def exits(data, mark):
    panels = [("read", "4k random read, one at a time"), ("rr", "TCP transaction"),
              ("deep", "4k random read, 32 at a time")]
    reasons = data["exits_by_reason"]
    panels = [(w, t) for w, t in panels if any(k.startswith(w + "/") for k in reasons)]
    if not panels:
        return None
    names = order(k.split("/")[1] for k in reasons)
    height = 130 + len(panels) * (80 + 30 * len(names))
    text = HEAD.format(width=980, height=height, file="exits.svg", grid="x",
                       key="off")
    text += (f'set multiplot layout {len(panels)},1 title "Exits per operation, by reason" '
             'font "DejaVu Sans,17"\nset lmargin 26\nset rmargin 6\n')
    for n, (work, title) in enumerate(panels):
        text += f'set title {quote(title)} font "DejaVu Sans,14"\n'
        if n == len(panels) - 1:
            text += f"set key on {KEY}\n"
        text += bars(names, REASONS,
                     lambda n, label, w=work: mean_of(reasons.get(f"{w}/{n}", [{}]), label))
    return text + "unset multiplot\n"


def latency(data, mark):
    runs = data["latency_ns"]
    panels = [("read", "4k random read, one at a time"), ("rr", "TCP round trip")]
    panels = [(w, t) for w, t in panels if any(k.startswith(w + "/") for k in runs)]
    if not panels:
        return None
    text = HEAD.format(width=980, height=90 + 420 * len(panels), file="latency.svg", grid="x y",
                       key="inside right bottom Left reverse samplen 2")
    text += f'set multiplot layout {len(panels)},1 title "Latency{mark}" font "DejaVu Sans,17"\n'
    text += ('set logscale x\nset ylabel "% of operations within"\nset yrange [0:100]\n'
             'set format x "%g"\n')
    for work, title in panels:
        names = order(k.split("/")[1] for k in runs if k.startswith(work + "/"))
        plots = []
        for n, name in enumerate(names):
            text += block(f"{work}{n}", cdf(runs[f"{work}/{name}"]))
            color = LINES.get(name, OTHER_LINE)
            plots.append(f'${work}{n} with lines lw 2.2 lc rgb "{color}" title {quote(name)}')
        text += f'set title {quote(title)} font "DejaVu Sans,14"\nset xlabel "us{mark}"\n'
        text += "plot " + ", \\\n".join(plots) + "\n"
    return text + "unset multiplot\n"


def cdf(runs):
    """Median over the runs of each percentile: (us, per cent)."""
    return [(statistics.median(dict(run)[p] for run in runs) / 1e3, p / 10)
            for p, _ in runs[0] if p < 1000]


def scaling(data, mark):
    points = {"B12s1": 1, "B12s2": 2, "B12s4": 4}
    rows = [f for f in data["figures"] if f["id"] in points]
    names = order(r["config"] for r in rows)
    if not rows:
        return None
    text = HEAD.format(width=760, height=460, file="scaling.svg", grid="y",
                       key="outside right top Left reverse samplen 2")
    text += (f'set title "Four jobs on four vCPUs, 4k random reads{mark}" '
             'font "DejaVu Sans,16"\nset xlabel "queues of the disk"\n'
             f'set ylabel "reads per second{mark}"\nset yrange [0:*]\nset xtics (1,2,4)\n'
             'set xrange [0.8:4.2]\n')
    plots = []
    for n, name in enumerate(names):
        text += block(f"s{n}", [(points[r["id"]], r["value"]) for r in rows
                                if r["config"] == name])
        plots.append(f'$s{n} with linespoints lw 2.2 pt 7 ps 0.7 lc rgb '
                     f'"{LINES.get(name, OTHER_LINE)}" title {quote(name)}')
    return text + "plot " + ", \\\n".join(plots) + "\n"


def boot(data, mark):
    stages = data["boot_stages_s"]
    if not stages:
        return None
    names = order(stages)
    text = HEAD.format(width=980, height=150 + 32 * len(names), file="boot.svg", grid="x",
                       key=KEY)
    text += ('set title "From the start of the monitor to the guest\'s first process'
             f'{mark}" font "DejaVu Sans,16"\nset xlabel "s{mark}"\nset lmargin 26\n')
    labels = [label for label, _ in STAGES]
    return text + bars(names, STAGES, lambda name, label: statistics.median(
        max(0.0, run[labels.index(label)]) for run in stages[name]))


def draw(data, out):
    """Writes the SVG files that the data give; the names of those that were drawn."""
    gnuplot = shutil.which("gnuplot")
    if not gnuplot:
        print("no plots: gnuplot is not installed (package gnuplot-nox)")
        return []
    mark = " (emulated)" if "TCG" in data["facts"].get("place", "") else ""
    drawn = []
    for name, plot in (("exits", exits), ("latency", latency), ("scaling", scaling),
                       ("boot", boot)):
        script = plot(data, mark)
        if not script:
            continue
        r = subprocess.run([gnuplot], input=script, cwd=out, text=True, capture_output=True,
                           check=False)
        if r.returncode or not os.path.exists(os.path.join(out, name + ".svg")):
            print(f"no plot {name}: {r.stderr.strip()[-300:]}")
        else:
            drawn.append(name + ".svg")
    return drawn
