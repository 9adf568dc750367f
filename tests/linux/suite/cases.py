# SPDX-License-Identifier: Apache-2.0
"""The registry of test cases: a function is a case, its name is a sentence, after the row of
docs/hostile-cases.md that it is about, if there is one: d3_a_power_cut_..."""

import re

CASES = []


class Case:
    def __init__(self, run, quick, full, cost, needs):
        self.run, self.quick, self.full, self.cost, self.needs = run, quick, full, cost, needs
        self.name = re.sub(r"^[a-z]\d+ ", lambda m: m[0].upper(), run.__name__.replace("_", " "))


def case(quick=False, full=False, cost=1, needs=()):
    """quick: part of --quick. full: only with --full, or by name. cost: roughly how many plain boots it takes; long ones start first.
    needs: kernels as Guest.kernel names them, built before the first case runs."""
    def add(run):
        CASES.append(Case(run, quick, full, cost, needs))
        return run
    return add
