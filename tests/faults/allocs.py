# SPDX-License-Identifier: Apache-2.0
"""H5: each allocation fails once, in the plain program and in one with sanitizers."""

import collections
import os
import re
import subprocess

import sweep
from integrity import fresh_disk
from machine import Machine

FAILS = b"alloc: fails now\n"
LIMIT, USAGE = 2000, 2


DENSE = 80


def fail_at(m, nr):
    """(was there such an allocation, exit status, log)"""
    p = m.start(stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                env={**os.environ, "MIMSY_FAIL_ALLOC": str(nr)})
    try:
        out, err = p.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        p.kill()
        out, err = p.communicate()
        return FAILS in out, None, err
    return FAILS in out, p.returncode, err


def alloc_sweep(t, opts, name, m, step):
    ends, bad, nr, last = collections.Counter(), 0, opts.seed % step, 0
    fresh_disk(m.disks[0])
    while nr < LIMIT:
        nr += step if nr < DENSE else 4 * step      # at the end: the counters' file
        reached, status, err = fail_at(m, nr)
        if not reached:
            break
        last = nr
        why = sweep.complaint(("", ""), 0, status, err)
        if status == sweep.GUEST_RIGHT and DENSE < nr and sweep.ERROR_LINE not in err:
            why = "counters are missing without a word"
        if status == USAGE and err.count(sweep.ERROR_LINE) == 1:
            why = None          # while the command line was read
        ends["tolerated" if status == sweep.GUEST_RIGHT else "refused"] += not why
        if why:
            bad += 1
            t.check(f"H5 {name}: allocation {nr}", False,
                    f"{why}\n    {err.decode(errors='replace').strip()[-1500:]}")
    t.check(f"H5 {name}: each allocation fails once", not bad and ends["refused"] > 3,
            f"{bad} ended badly, {dict(ends)}", f"{sum(ends.values())} runs, the last at "
            f"{last}; {ends['refused']} refused, {ends['tolerated']} tolerated")


def count(opts, aio, rounds):
    """Allocations of a whole run with that many requests."""
    m = Machine(opts, "verify", [f"path=DISK,aio={aio}"], append=f"rounds={rounds}")
    m.program = opts.alloc
    fresh_disk(m.disks[0])
    p = m.start(stdout=subprocess.PIPE, env={**os.environ, "MIMSY_FAIL_ALLOC": "0"})
    found = re.search(rb"alloc: (\d+) calls", p.communicate()[0])
    return int(found[1]) if found else None


def check_data_path(t, opts):
    for aio in ("auto", "threads"):
        few, many = count(opts, aio, 10), count(opts, aio, 150)
        t.check(f"H5 nothing is allocated for a request, aio={aio}", few and few == many,
                f"{few}, {many}")


def check_allocations(t, opts):
    check_data_path(t, opts)
    step = 1 if opts.full else 7
    for name, program in (("plain", opts.alloc), ("with sanitizers", opts.alloc_sanitized)):
        if not os.path.exists(program):
            t.skip(f"H5 {name}: each allocation fails once", f"{program} is not built")
            continue
        m = Machine(opts, "sweep", ["path=DISK"], args=["--console", "stdio"])
        m.program = program
        if opts.tap:
            m.args += ["--net", f"tap={opts.tap},vhost=off"]
        stats = os.path.join(opts.scratch, "stats")
        m.args += ["--stats", stats]
        alloc_sweep(t, opts, name, m, step)
