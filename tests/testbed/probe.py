# SPDX-License-Identifier: Apache-2.0
"""Judges a KVM: fit for Linux guests, for bare-metal test guests only, or not usable."""

import dataclasses
import json
import os
import subprocess

from . import image

LINUX_MINSTR = 100      # million guest instructions a second; below, no Linux guest boots in time
NEEDED = ("USER_MEMORY", "IRQCHIP", "IRQ_ROUTING", "IRQFD", "IOEVENTFD", "IOEVENTFD_ANY_LENGTH",
          "SIGNAL_MSI", "IMMEDIATE_EXIT", "SET_TSS_ADDR", "EXT_CPUID")
TIERS = {"bare": ("linux", "bare"), "linux": ("linux",)}
STATUS = {"linux": 0, "bare": 3, "none": 4}
WORDS = {"linux": "fit for Linux guests", "bare": "usable for bare-metal guests only",
         "none": "no usable KVM"}


@dataclasses.dataclass
class Verdict:
    """level: "linux", "bare" or "none"; facts is what the probe has printed."""

    level: str
    reason: str
    facts: dict

    def serves(self, tier):
        return self.level in TIERS[tier]

    def __str__(self):
        return f"{WORDS[self.level]}: {self.reason}"


def program():
    return image.build_program("kvmprobe")


def judge(text):
    """The verdict on the probe's output."""
    try:
        facts = json.loads(text)
    except ValueError:
        return Verdict("none", "the probe ended without a result, KVM does not return", {})
    if "error" in facts:
        return Verdict("none", facts["error"], facts)
    if facts["api"] != 12:
        return Verdict("none", f"KVM's API version is {facts['api']}, not 12", facts)
    missing = [name for name in NEEDED if facts["caps"].get(name, 0) <= 0]
    if missing:
        return Verdict("none", f"KVM lacks {', '.join(missing)}", facts)
    speed = facts["minstr_per_s"]
    if speed < LINUX_MINSTR:
        return Verdict("bare", f"it runs {speed:.1f} million guest instructions/s, a Linux guest "
                       f"needs {LINUX_MINSTR}", facts)
    return Verdict("linux", f"it runs {speed:.0f} million guest instructions/s", facts)


def probe_host():
    """The verdict on this machine's /dev/kvm."""
    if not os.path.exists("/dev/kvm"):
        return Verdict("none", "there is no /dev/kvm", {})
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return Verdict("none", "this user may not open /dev/kvm; join the group kvm", {})
    r = subprocess.run([program()], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
    return judge(r.stdout)


def probe_bed(bed):
    """The verdict on the KVM inside a bed."""
    return judge(bed.run([bed.put(program(), "/usr/bin/kvmprobe")], timeout=30).stdout)
