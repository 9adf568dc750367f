# SPDX-License-Identifier: Apache-2.0
"""The monitors and their flags. A configuration is one monitor in one mode; its name is the bench's
name for it everywhere."""

import dataclasses
import json
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


def lkvm(transport):
    def argv(path, m):
        return [path, "run", "--kernel", m.kernel, "--initrd", m.initrd, "--cpus", str(m.cpus),
                "--mem", str(m.memory), "--disk", f"{m.disk},direct", "--console", "serial",
                "--virtio-transport", transport, "--params", BASE_CMDLINE,
                "--network", f"mode=tap,tapif={m.tap},guest_mac={MAC},trans={transport}"]
    return argv


def firecracker(path, m):
    config = {
        "boot-source": {"kernel_image_path": m.kernel, "initrd_path": m.initrd,
                        "boot_args": BASE_CMDLINE + " pci=off"},
        "drives": [{"drive_id": "d", "path_on_host": m.disk, "is_root_device": False,
                    "is_read_only": False}],
        "network-interfaces": [{"iface_id": "eth0", "guest_mac": MAC, "host_dev_name": m.tap}],
        "machine-config": {"vcpu_count": m.cpus, "mem_size_mib": m.memory},
    }
    return ["sh", "-c", 'printf %s "$1" > "$2"; exec "$0" --no-api --config-file "$2"', path,
            json.dumps(config), f"{m.scratch}/firecracker.json"]


def cloud_hypervisor(path, m):
    return [path, "--kernel", m.kernel, "--initramfs", m.initrd, "--cpus", f"boot={m.cpus}",
            "--memory", f"size={m.memory}M", "--disk",
            f"path={m.disk},direct=on,num_queues={m.queues}", "--net", f"tap={m.tap},mac={MAC}",
            "--serial", "tty", "--console", "off", "--cmdline", BASE_CMDLINE]


def crosvm(path, m):
    return [path, "run", "--disable-sandbox", "--cpus", str(m.cpus), "--mem", str(m.memory),
            "--initrd", m.initrd, "--block", f"path={m.disk},direct=true", "--net",
            f"tap-name={m.tap},mac={MAC}", "--serial", "type=stdout,hardware=serial,num=1,stdin",
            "--params", BASE_CMDLINE, m.kernel]


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
    multi: bool = True      # takes more than one queue


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
    Config("lkvm-mmio", "lkvm", lkvm("mmio"), "kvmtool, virtio-mmio", multi=False),
    Config("lkvm-pci", "lkvm", lkvm("pci"), "kvmtool, virtio-pci", multi=False),
    Config("firecracker", "firecracker", firecracker, "virtio-mmio, edge line", multi=False),
    Config("cloud-hypervisor", "cloud-hypervisor", cloud_hypervisor, "virtio-pci"),
    Config("crosvm", "crosvm", crosvm, "virtio-pci", multi=False),
)


def find(program, mimsy_path):
    path = mimsy_path if program == "mimsy" else shutil.which(program)
    return os.path.realpath(path) if path else None
