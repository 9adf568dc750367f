# SPDX-License-Identifier: Apache-2.0
"""What happens to the host as a whole while a guest works. In the test bed only: nobody's clock is
set here. Sleep to RAM and back is not tried: the emulated machine comes back from it, but its KVM
does not leave a guest any more, QEMU's as little as ours."""

from .bench import Guest
from .cases import case
from .outcome import Skip, expect

STEPS = ("date -s @$(($(date +%s) + 3600)) && sleep 1 && date -s @$(($(date +%s) - 7200)) && "
         "sleep 1 && date -s @$(($(date +%s) + 3600))")


@case(cost=2, needs=("6.12",))
def h10_the_clock_of_the_host_steps_and_the_guest_does_not_notice(bench):
    if not bench.bed.emulated:
        raise Skip("only a test bed has its clock set")
    done = []

    def on_line(_process, line):
        if "MIMSY-NOW" in line and not done:
            done.append(bench.bed.run(STEPS))

    guest = Guest(cpus=2, disks=("queues=2",), nets=("queues=2,vhost=off",), timeout=300,
                  tests="net,host,disks,tcp,irqs", on_line=on_line)
    outcome = bench.boot(guest)
    expect(done and done[0].ok, f"setting the clock: {done[0].text if done else 'not tried'}")
    outcome.check("host", "disks", "tcp", "irqs")
    bench.check_image(guest)
