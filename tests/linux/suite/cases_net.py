# SPDX-License-Identifier: Apache-2.0
"""Which queue of an interface a frame comes in by."""

from .bench import Guest
from .cases import case
from .outcome import expect

ROUNDS = 60         # from each CPU; several may share an interrupt
STRAYS = 8          # frames that have no hash (ARP) go to queue 0, wherever the table points


def steered(bench, kernel, vhost):
    """The driver's table leads to queue 1, then to queue 0, and all frames of TCP with it."""
    guest = Guest(kernel=kernel, cpus=2, nets=(f"queues=2,rss=on,vhost={vhost}",),
                  tests="irqs,net,rss", params={"rss": "1,0", "rounds": ROUNDS})
    outcome = bench.boot(guest).check("irqs", "net", "rss")
    expect(outcome.words.get("RSS") == ["entries 128 key 40 queues 3"],
           f"the driver's first table: {outcome.words.get('RSS')}")
    for round_, to in ((1, 1), (2, 0)):
        took = [outcome.irq(f"virtio0-input.{q}", round_ + 1).total
                - outcome.irq(f"virtio0-input.{q}", round_).total for q in (0, 1)]
        expect(took[to] >= ROUNDS // 2 and took[1 - to] <= STRAYS,
               f"interrupts of the two queues with the table at {to}: {took}")
    expect(outcome.device(0)["rss"] >= 2, f"RSS was set up {outcome.device(0)['rss']} times")
    return outcome


@case(quick=True, cost=2, needs=("6.12",))
def the_drivers_hash_table_chooses_the_queue_of_a_net(bench):
    outcome = steered(bench, "6.12", "off")
    rx = [outcome.device(0)["queues"][q]["frames"] for q in (0, 2)]
    expect(min(rx) >= ROUNDS, f"frames of the two queues: {rx}")


@case(cost=2, needs=("6.1",))
def the_drivers_hash_table_chooses_the_queue_of_a_net_on_linux_6_1(bench):
    steered(bench, "6.1", "off")


@case(cost=2, needs=("6.12",))
def the_drivers_hash_table_chooses_the_queue_of_a_net_with_vhost(bench):
    steered(bench, "6.12", "on")
