# SPDX-License-Identifier: Apache-2.0
"""The monitors and their flags. A configuration is one monitor in one mode; its name is the bench's
name for it everywhere."""

import dataclasses
import os
import shutil

BASE_CMDLINE = ("console=ttyS0 quiet loglevel=3 panic=-1 reboot=t no_timer_check 8250.nr_uarts=1 "
                "swiotlb=noforce rcupdate.rcu_cpu_stall_suppress=1")
VHOST = "/dev/vhost-net"
MAC = "02:00:00:00:00:09"


@dataclasses.dataclass(frozen=True)
class Machine:
    """What is the same for all: files (as the bed names them), vCPUs, MiB, queues, where to write."""

    kernel: str
    initrd: str
    disk: str
    tap: str
    scratch: str
    cpus: int = 1
    memory: int = 128
    queues: int = 1


def mimsy(*options, net="", disk=""):
    def argv(path, m):
        image = f"path={m.disk},queues={m.queues},direct=on" + (f",{disk}" if disk else "")
        return [path, "run", "--kernel", m.kernel, "--initrd", m.initrd, "--cpus", str(m.cpus),
                "--memory", f"{m.memory}M", "--disk", image, "--net",
                f"tap={m.tap},mac={MAC}" + (f",{net}" if net else ""), "--no-default-cmdline",
                "--cmdline", BASE_CMDLINE + " pci=off", "--stats", f"{m.scratch}/stats.json",
                "--log-level", "error", *options]
    return argv


def qemu_common(path, m, machine, cmdline, net, blk):
    return [path, "-accel", "kvm", "-cpu", "host", "-nodefaults", "-no-user-config",
            "-display", "none", "-no-reboot", "-serial", "stdio", "-smp", str(m.cpus),
            "-m", str(m.memory), "-kernel", m.kernel, "-initrd", m.initrd, "-append", cmdline,
            *machine,
            "-drive", f"id=d,if=none,file={m.disk},format=raw,cache=none,aio=io_uring",
            "-device", blk,
            "-netdev", f"tap,id=n,ifname={m.tap},script=no,downscript=no,vhost={net}"]


def qemu_microvm(path, m):
    """With its own irqchip, its default: with KVM's (7.2) a guest waits for ever at depth 32."""
    machine = ["-M", "microvm,x-option-roms=off,pit=off,pic=off,rtc=off,isa-serial=on",
               "-global", "virtio-mmio.force-legacy=false"]
    return qemu_common(path, m, machine, BASE_CMDLINE + " pci=off", "off",
                       f"virtio-blk-device,drive=d,num-queues={m.queues}") + [
        "-device", f"virtio-net-device,netdev=n,mac={MAC}"]


def qemu_q35(vhost="off", iothread=False):
    def argv(path, m):
        blk = f"virtio-blk-pci,drive=d,num-queues={m.queues},disable-legacy=on"
        machine = ["-M", "q35"]
        if iothread:
            machine += ["-object", "iothread,id=io,poll-max-ns=0"]
            blk += ",iothread=io"
        return qemu_common(path, m, machine, BASE_CMDLINE, vhost, blk) + [
            "-device", f"virtio-net-pci,netdev=n,mac={MAC},disable-legacy=on"]
    return argv


@dataclasses.dataclass(frozen=True)
class Config:
    """program: its name in PATH; needs: a word that its help must have; device: a file that must be
    there; few: part of a quick run."""

    name: str
    program: str
    argv: object
    what: str
    few: bool = True
    needs: str = ""
    device: str = ""


CONFIGS = (
    Config("mimsy-msi", "mimsy", mimsy("--irq", "msi", net="vhost=off"),
           "an MSI per queue, doorbells"),
    Config("mimsy-shared", "mimsy", mimsy("--irq", "shared", net="vhost=off"),
           "one MSI for all queues, doorbells", few=False),
    Config("mimsy-single", "mimsy", mimsy("--irq", "single", net="vhost=off"),
           "the line: what an unpatched guest uses"),
    Config("mimsy-msi-nodoorbell", "mimsy",
           mimsy("--irq", "msi", "--doorbells", "off", net="vhost=off"),
           "an MSI per queue, the classic notify register", few=False),
    Config("mimsy-single-nodoorbell", "mimsy",
           mimsy("--irq", "single", "--doorbells", "off", net="vhost=off"),
           "the line and the classic register: virtio-mmio as the standard has it", few=False),
    Config("mimsy-msi-inline", "mimsy", mimsy("--irq", "msi", net="inline-kick=on"),
           "an MSI per queue, frames sent by the vCPU itself", few=False, needs="inline-kick="),
    Config("mimsy-msi-sqpoll", "mimsy",
           mimsy("--irq", "msi", net="vhost=off", disk="sqpoll=on,poll-us=100"),
           "the disk submits through a polling thread of the kernel", few=False, needs="sqpoll="),
    Config("mimsy-msi-vhost", "mimsy", mimsy("--irq", "msi", net="vhost=on"),
           "an MSI per queue, vhost-net", needs="vhost=", device=VHOST),
    Config("mimsy-single-vhost", "mimsy", mimsy("--irq", "single", net="vhost=on"),
           "the line, vhost-net", few=False, needs="vhost=", device=VHOST),
    Config("qemu-microvm", "qemu-system-x86_64", qemu_microvm,
           "virtio-mmio, split irqchip (its default)"),
    Config("qemu-q35", "qemu-system-x86_64", qemu_q35(), "virtio-pci, MSI-X"),
    Config("qemu-q35-iothread", "qemu-system-x86_64", qemu_q35(iothread=True),
           "virtio-pci, the disk in an I/O thread", few=False),
    Config("qemu-q35-vhost", "qemu-system-x86_64", qemu_q35("on"), "virtio-pci, vhost-net",
           device=VHOST),
)


def find(program, mimsy_path):
    path = mimsy_path if program == "mimsy" else shutil.which(program)
    return os.path.realpath(path) if path else None
