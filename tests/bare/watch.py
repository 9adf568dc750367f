# SPDX-License-Identifier: Apache-2.0
"""Looks at a monitor from outside while its guest runs: descriptors and memory."""

import os
import re
import time

EVERY = 0.2             # seconds between two looks
GROWTH_KIB = 1024       # of the monitor's own memory, from the end of the first check
AREA = re.compile(r"^[0-9a-f]+-[0-9a-f]+ ")


class Watch:
    """Call look() whenever the guest has said something."""

    def __init__(self, ram_mib):
        self.ram_kib = ram_mib * 1024
        self.files = []
        self.memory = []
        self.last = 0.0

    def look(self, pid, after_check):
        now = time.monotonic()
        if self.files and now - self.last < EVERY:
            return
        try:
            self.files.append(len(os.listdir(f"/proc/{pid}/fd")))
            if after_check:
                self.memory.append(self.own_memory(pid))
                self.last = now
        except OSError:
            pass        # it has ended, or may not be looked at

    def own_memory(self, pid):
        """KiB of anonymous memory that is not the guest's."""
        total = size = 0
        with open(f"/proc/{pid}/smaps", encoding="ascii", errors="replace") as f:
            for line in f:
                if AREA.match(line):
                    size = 0
                elif line.startswith("Size:"):
                    size = int(line.split()[1])
                elif line.startswith("Anonymous:") and size != self.ram_kib:
                    total += int(line.split()[1])
        return total

    def complaints(self, with_memory):
        """None if it could not look, else a list."""
        if not self.files:
            return None
        found = []
        if max(self.files) > self.files[0]:     # fewer: it is on its way out
            found.append(f"{self.files[0]} descriptors grew to {max(self.files)}")
        if with_memory and self.memory and max(self.memory) - self.memory[0] > GROWTH_KIB:
            found.append(f"memory of {self.memory[0]} KiB grew to {max(self.memory)} KiB")
        return found
