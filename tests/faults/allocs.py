# SPDX-License-Identifier: Apache-2.0
"""H5: each allocation fails once, in the plain program and in one with sanitizers."""

import collections
import os
import subprocess

import sweep
from integrity import fresh_disk
from machine import Machine

FAILS = b"alloc: fails now\n"
LIMIT = 2000
ENV = {"ASAN_OPTIONS": "detect_leaks=1:exitcode=99", "UBSAN_OPTIONS": "exitcode=99"}


def fail_at(m, nr):
    """(was there such an allocation, exit status, log)"""
    p = m.start(stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                env={**os.environ, **ENV, "MIMSY_FAIL_ALLOC": str(nr)})
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
        nr += 1 if step == 1 else step
        reached, status, err = fail_at(m, nr)
        if not reached:
            break
        last = nr
        why = sweep.complaint(("", ""), 0, status, err)
        ends["tolerated" if status == sweep.GUEST_RIGHT else "refused"] += not why
        if why:
            bad += 1
            t.check(f"H5 {name}: allocation {nr}", False,
                    f"{why}\n    {err.decode(errors='replace').strip()[-1500:]}")
    t.check(f"H5 {name}: each allocation fails once", not bad and ends["refused"] > 3,
            f"{bad} ended badly, {dict(ends)}", f"{sum(ends.values())} runs, the last at "
            f"{last}; {ends['refused']} refused, {ends['tolerated']} tolerated")


def check_allocations(t, opts):
    step = 1 if opts.full else 5
    for name, program in (("plain", opts.alloc), ("with sanitizers", opts.alloc_sanitized)):
        if not program:
            continue
        m = Machine(opts, "sweep", ["path=DISK"], args=["--console", "stdio"])
        m.program = program
        if opts.tap:
            m.args += ["--net", f"tap={opts.tap},vhost=off"]
        stats = os.path.join(opts.scratch, "stats")
        m.args += ["--stats", stats]
        alloc_sweep(t, opts, name, m, step)
