# SPDX-License-Identifier: Apache-2.0
"""The commands of tests/testbed/testbed."""

import argparse
import json
import os
import signal
import sys
import termios
import threading
import tty

from . import image, peer, probe, serve
from .bed import BedError, TestBed
from .host import Host, decide
from .image import say


def stream(number, data):
    out = (sys.stdout if number == 1 else sys.stderr).buffer
    out.write(data)
    out.flush()


def pair(text):
    """A:B, or A for both, as absolute paths."""
    a, _, b = text.partition(":")
    return os.path.abspath(a), os.path.abspath(b or a)


def key_value(text):
    k, eq, v = text.partition("=")
    if not eq:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return k, v


def finish(timed_out, lost, timeout):
    if timed_out:
        say(f"killed, the time limit of {timeout:g} s is over")
    if lost:
        say(f"the command was lost: {lost}")


def command_of(opts):
    return " ".join(opts.cmd) if opts.shell else opts.cmd


def new_bed(opts):
    return TestBed(memory=opts.memory, cpus=opts.cpus, modules=opts.modules,
                   kernel_args=opts.kvm_arg, log=opts.log, quiet=opts.quiet)


def pass_keys(process):
    """On a thread that ends with us; the end of our input is not that of a terminal's."""
    while data := os.read(0, 4096):
        process.write(data)


def interact(bed, opts):
    """The command has a terminal, and what is typed at ours, as with ssh -t."""
    ours = termios.tcgetattr(0) if os.isatty(0) else None
    size = os.get_terminal_size(1) if os.isatty(1) else os.terminal_size((80, 24))
    script = f'stty rows {size.lines or 24} cols {size.columns or 80}; exec "$0" "$@"'
    cmd = ["sh", "-c", command_of(opts)] if opts.shell else opts.cmd
    process = bed.start(["sh", "-c", script, *cmd], env=dict(opts.env), tty=True, on_data=stream)
    try:
        if ours:
            tty.setraw(0, termios.TCSANOW)
        threading.Thread(target=pass_keys, args=(process,), daemon=True).start()
        return process.wait(opts.timeout)
    finally:
        if ours:
            termios.tcsetattr(0, termios.TCSANOW, ours)


def cmd_run(opts):
    where, why = decide(opts.tier, opts.where)
    if opts.where == "auto" and not opts.quiet:
        say(f"running {'on the host' if where == 'host' else 'in the test bed'}: {why}")
    with (Host() if where == "host" else new_bed(opts)) as bed:
        if opts.with_qemu and where != "host":
            peer.put_qemu(bed)
        for host, guest in opts.put:
            bed.put(host, guest)
        if opts.tty:
            r = interact(bed, opts)
        else:
            r = bed.run(command_of(opts), timeout=opts.timeout, env=dict(opts.env),
                        on_data=stream)
        finish(r.timed_out, r.lost, opts.timeout)
        for guest, host in opts.get:
            bed.get(guest, host)
        return r.status


def cmd_probe(opts):
    if opts.in_bed:
        with TestBed(quiet=True) as bed:
            verdict = probe.probe_bed(bed)
    else:
        verdict = probe.probe_host()
    if opts.json:
        print(json.dumps({"level": verdict.level, "reason": verdict.reason, **verdict.facts}))
    else:
        print(verdict)
    return probe.STATUS[verdict.level]


def cmd_serve(opts):
    with new_bed(opts) as bed:
        if opts.with_qemu:
            peer.put_qemu(bed)
        say(f"serving at {opts.socket}")
        serve.serve(bed, opts.socket)
    return 0


def cmd_exec(opts):
    r = serve.request(opts.socket, {
        "op": "exec", "cmd": command_of(opts), "timeout": opts.timeout, "env": dict(opts.env),
        "cwd": os.getcwd(), "put": opts.put, "get": opts.get}, stream)
    finish(r.get("timed_out"), r.get("lost"), opts.timeout)
    return r["status"]


def cmd_stop(opts):
    return serve.request(opts.socket, {"op": "stop"}, stream)["status"]


def cmd_image(opts):
    for path in image.build(opts.modules, opts.refresh):
        print(path)
    return 0


def add_bed_options(p):
    p.add_argument("--memory", type=int, default=2048, metavar="MIB", help="default 2048")
    p.add_argument("--cpus", type=int, default=1, metavar="N",
                   help="more than 1 is slower and not stable, see README.md")
    p.add_argument("--modules", type=lambda s: s.split(","), default=[], metavar="A,B,C",
                   help="load these as well")
    p.add_argument("--kvm-arg", action="append", default=[], metavar="kvm.X=Y",
                   help="module parameter, or other argument of L1's kernel")
    p.add_argument("--with-qemu", action="store_true", help="put QEMU in, as a peer")
    p.add_argument("--log", metavar="FILE", help="keep L1's kernel log here")
    p.add_argument("--quiet", action="store_true", help="no progress lines")


def add_command_options(p):
    p.add_argument("--timeout", type=float, metavar="S", help="default 300")
    p.add_argument("--put", type=pair, action="append", default=[], metavar="HOST[:GUEST]",
                   help="store a file or directory, and the libraries of a program")
    p.add_argument("--get", type=pair, action="append", default=[], metavar="GUEST[:HOST]",
                   help="fetch a file afterwards")
    p.add_argument("--env", type=key_value, action="append", default=[], metavar="K=V")
    p.add_argument("--shell", action="store_true", help="CMD is for the shell")
    p.add_argument("cmd", nargs="+", metavar="CMD")


def add_run(sub):
    p = sub.add_parser("run", help="boot L1, run a command in it, return its exit status")
    p.add_argument("--auto", action="store_const", dest="where", const="auto", default="testbed",
                   help="run on the host instead if its KVM serves the tier")
    p.add_argument("--host", action="store_const", dest="where", const="host")
    p.add_argument("--tier", choices=sorted(probe.TIERS), default="linux",
                   help="what --auto needs of the host's KVM: any (bare), or a fast one (linux)")
    p.add_argument("-t", "--tty", action="store_true",
                   help="the command has a terminal, and our keys: log into a guest; no time "
                   "limit but one that is given")
    add_bed_options(p)
    add_command_options(p)
    p.set_defaults(call=cmd_run)


def add_socket(p):
    default = os.path.join(os.environ.get("XDG_RUNTIME_DIR", "/tmp"),
                           f"mimsy-testbed-{os.getuid()}")
    p.add_argument("--socket", default=default, metavar="S", help=f"default {default}")


def parser():
    p = argparse.ArgumentParser(
        prog="testbed", description="Runs commands where KVM is real: on the host, or in an "
        "emulated machine with AMD's SVM. Status 124: time limit, 125: the bed failed.")
    sub = p.add_subparsers(dest="command", required=True)
    add_run(sub)
    s = sub.add_parser("probe", help="judge the KVM here: 0 fit, 3 bare-metal guests only, 4 none")
    s.add_argument("--json", action="store_true")
    s.add_argument("--in-bed", action="store_true", help="judge the one in the test bed")
    s.set_defaults(call=cmd_probe)
    s = sub.add_parser("serve", help="keep a bed running for exec")
    add_socket(s)
    add_bed_options(s)
    s.set_defaults(call=cmd_serve)
    s = sub.add_parser("exec", help="run a command in the bed that serve keeps")
    add_socket(s)
    add_command_options(s)
    s.set_defaults(call=cmd_exec)
    s = sub.add_parser("stop", help="end the bed that serve keeps")
    add_socket(s)
    s.set_defaults(call=cmd_stop)
    s = sub.add_parser("image", help="build L1's image now; prints kernel, initramfs, release")
    s.add_argument("--modules", type=lambda t: t.split(","), default=[], metavar="A,B,C")
    s.add_argument("--refresh", action="store_true", help="ask apt for a newer kernel")
    s.set_defaults(call=cmd_image)
    return p


def main(argv):
    opts = parser().parse_args(argv)
    if getattr(opts, "timeout", 0) is None:
        opts.timeout = None if getattr(opts, "tty", False) else 300
    for sig in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, lambda nr, _: sys.exit(128 + nr))
    try:
        return opts.call(opts)
    except (BedError, image.ImageError) as e:
        say(e)
        return 125
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
