# SPDX-License-Identifier: Apache-2.0
"""Power cuts under a file system of the guest's."""

import os

from . import crash
from .bench import DISK_LEN, Guest
from .cases import case
from .outcome import expect

FILES = 24


def content(name):
    """As test_crash of the guest writes it."""
    number = int(name[1:])
    line = b"line of %d\n" % number
    return (line * (number * 3000 // len(line) + 1))[:number * 3000]


@case(cost=3, needs=("module-6.1",))
def d3_a_power_cut_leaves_a_clean_file_system_with_all_that_was_synced(bench):
    image = os.path.join(bench.logs, "ext4")
    crash.make_image(image, DISK_LEN)
    with open(image, "rb") as f:
        before = f.read()
    guest = Guest(kernel="module-6.1", disks=("aio=threads",), contents=(image,), traced=True,
                  tests="crash", params={"files": FILES}, timeout=300)
    bench.boot(guest).check("crash")
    happened = crash.events(bench.trace())
    states, safe, why = crash.judge(before, happened, content, image)
    print(f"# {states} states after a power cut, {safe} files made safe", flush=True)
    expect(not why, f"state {states}: {why}")
    expect(safe == FILES and states > FILES, f"{states} states, {safe} files made safe")
    # Without the flushes something has to be lost, or this test shows nothing.
    unsafe = [e for e in happened if e[0] != "flush"]
    _, _, why = crash.judge(before, unsafe, content, image, count=20)
    expect(why, "no state without flushes has lost anything")
    os.unlink(image)
