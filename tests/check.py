# SPDX-License-Identifier: Apache-2.0
"""Runs the stages of ./check and adds up what they say.

A stage is a command. It counts by its closing line 'N passed, N failed, N skipped'; a stage that
ends with an error and without such a line counts as one failure. Unit tests are counted one by one.
"""

import argparse
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PLAIN = re.compile(r"^(?:\w+: )?(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$")
UNIT = re.compile(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)$")
RESULT = re.compile(r"\s*(?:ok|skip|FAIL) ")
TAP = re.compile(r"(ok|not ok) \d+ - [^:]*:[^:]*:(\w+): (.*)$")
RESULTS = os.path.join(ROOT, "build", "results")    # a file for each stage; tests/hostile/README.md
SKIPPED = 77
THREADED = ("worker", "relay", "log", "virtq_race", "msi", "vmmio", "blk", "net", "uart", "tap",
            "sandbox_threads")


class Tally:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def add(self, passed, failed, skipped=0):
        self.passed += passed
        self.failed += failed
        self.skipped += skipped

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def run(argv, env=None, show=True):
    """Runs a command, shows what it prints, returns its status and lines."""
    lines = []
    p = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True, errors="replace",
                         env={**os.environ, **(env or {})})
    for line in p.stdout:
        lines.append(line.rstrip("\n"))
        if show:
            print(line, end="", flush=True)
    keep_results(line for line in lines if RESULT.match(line))
    return p.wait(), lines


def keep_results(lines):
    """For the stage under way."""
    with open(os.environ["MIMSY_RESULTS"], "a", encoding="utf-8") as f:
        f.writelines(line + "\n" for line in lines)


def keep_unit_results(program, log):
    """Check's log names each test; keeps them and takes the log away."""
    if not os.path.exists(log):
        return
    with open(log, encoding="utf-8", errors="replace") as f:
        found = [m for m in map(TAP.match, f) if m]
    keep_results(f"ok {program}.{m[2]}" if m[1] == "ok" else f"FAIL {program}.{m[2]}: {m[3]}"
                 for m in found)
    os.remove(log)


def count_plain(status, lines):
    tally = Tally()
    for line in lines:
        m = PLAIN.match(line)
        if m:
            tally = Tally()
            tally.add(int(m[1]), int(m[2]), int(m[3] or 0))
    if status and not tally.failed:
        tally.add(0, 1)
    return tally


def command(*argv, full=(), env=None):
    """A stage that is one command; full: further arguments with --full."""
    return lambda args: count_plain(*run((*argv, *(full if args.full else ())), env))


def build_dir(name):
    return os.path.join(ROOT, "build", "check-" + name)


def build(name, *options, compiler="gcc"):
    """Configures and builds one variant; shows the output of a failed step only."""
    d = build_dir(name)
    steps = [
        ["cmake", "-S", ROOT, "-B", d, "-DWERROR=ON", f"-DCMAKE_C_COMPILER={compiler}", *options],
        ["cmake", "--build", d, "--parallel", str(os.cpu_count() or 2)],
    ]
    for argv in steps:
        status, lines = run(argv, show=False)
        if status:
            print("\n".join(lines[-60:]))
            print(f"FAIL build with {name}")
            return False
    print(f"ok build with {name}")
    return True


def build_stage(name, *options, compiler="gcc"):
    def stage(_):
        tally = Tally()
        tally.add(*((1, 0) if build(name, *options, compiler=compiler) else (0, 1)))
        return tally
    return stage


def unit_programs(name, pattern=None):
    d = os.path.join(build_dir(name), "tests")
    programs = sorted(f for f in os.listdir(d) if f.startswith("test_") and
                      os.access(os.path.join(d, f), os.X_OK) and
                      os.path.isfile(os.path.join(d, f)))
    return [os.path.join(d, f) for f in programs
            if not pattern or any(p in f for p in pattern)]


def unit_stage(name, pattern=None, env=None):
    """Every unit test program of one build. Silent but for failures."""
    def stage(_):
        tally = Tally()
        for program in unit_programs(name, pattern):
            log = os.path.join(build_dir(name), "check.tap")
            status, lines = run([program], {"CK_DEFAULT_TIMEOUT": "60",
                                            "CK_TAP_LOG_FILE_NAME": log, **(env or {})},
                                show=False)
            keep_unit_results(os.path.basename(program), log)
            if status == SKIPPED:
                tally.add(0, 0, 1)
                keep_results([f"skip {os.path.basename(program)}"])
                print(f"skip {name}: {os.path.basename(program)}: {lines[-1] if lines else ''}")
                continue
            found = [UNIT.match(line) for line in lines if UNIT.match(line)]
            bad = sum(int(m[2]) + int(m[3]) for m in found)
            tally.add(sum(int(m[1]) for m in found) - bad, bad or (1 if status else 0))
            word = "FAIL" if status else "ok"
            print(f"{word} {name}: {os.path.basename(program)}", flush=True)
            if status:
                print("\n".join(lines[-40:]))
        return tally
    return stage


ASAN = {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=1", "UBSAN_OPTIONS": "print_stacktrace=1"}
TSAN = {"TSAN_OPTIONS": "halt_on_error=1"}
MIMSY = os.path.join(build_dir("gcc"), "mimsy")
GUESTS = os.path.join(build_dir("gcc"), "tests", "bare")

# name, what it shows, how to run it; in this order
STAGES = [
    ("build-gcc", "gcc, warnings are errors", build_stage("gcc")),
    ("build-clang", "clang, warnings are errors", build_stage("clang", compiler="clang")),
    ("build-asan", "gcc with address and undefined behaviour sanitizers",
     build_stage("asan", "-DSANITIZE=address,undefined")),
    ("build-tsan", "gcc with the thread sanitizer", build_stage("tsan", "-DSANITIZE=thread")),
    ("lint", "layers, style, names", command("tests/lint/run")),
    ("analyze", "gcc's analyzer finds nothing",
     command("tests/lint/analyze", "--build", build_dir("gcc"))),
    ("abi", "register header: one text everywhere", command("tests/abi/check_abi")),
    ("guest-patches", "series apply, checkpatch, W=1, sparse",
     command("tests/abi/check_guest_patches")),
    ("unit", "unit tests", unit_stage("gcc")),
    ("unit-asan", "unit tests under ASan and UBSan", unit_stage("asan", env=ASAN)),
    ("unit-tsan", "threaded unit tests under TSan", unit_stage("tsan", THREADED, TSAN)),
    ("proof", "every case of small models of what guests write",
     command("tests/proof/run", "--build", build_dir("gcc"), full=("--full",))),
    ("cbmc", "bounded model checking of what guests write (with --full)",
     command("tests/proof/cbmc/run", full=("--fetch", "--bugs"))),
    ("fuzz", "libFuzzer on what guests and files can reach",
     command("tests/fuzz/run", full=("--seconds", "60"))),
    ("mutation", "known bugs put back: a test finds each",
     command("tests/mutation/run", "--sample", "4", full=("--sample", "0"))),
    ("testbed", "the test bed itself", command("tests/testbed/selftest")),
    ("bare", "bare-metal guests on KVM",
     command("tests/bare/run", "--mimsy", MIMSY, "--guests", GUESTS)),
    ("bare-asan", "hostile guests on a monitor with sanitizers",
     command("tests/bare/run", "--sanitized", "--guests", GUESTS, "--mimsy",
             os.path.join(build_dir("asan"), "mimsy"))),
    ("bare-vhost", "hostile guests on the kernel's vhost-net, in the test bed",
     command("tests/bare/run", "--mimsy", MIMSY, "--guests", GUESTS, "--where", "testbed", "--only",
             "*-vhost", "--unit", os.path.join(build_dir("asan"), "tests", "test_net_vhost"),
             "--unit", os.path.join(build_dir("gcc"), "tests", "test_tap_rss"))),
    ("refusals", "starts that have to be refused",
     command("tests/hostile/refusals", "--mimsy", MIMSY)),
    ("jail", "sandbox and binary", command("tests/jail/run", "--mimsy", MIMSY)),
    ("terminal", "terminals, signals, readers that read nothing",
     command("tests/terminal/run", "--mimsy", MIMSY)),
    ("faults", "the host fails: calls, memory, disks, signals, power",
     command("tests/faults/run", "--mimsy", MIMSY, "--sanitized", build_dir("asan"),
             full=("--full",))),
    ("linux", "Linux guests on KVM", command("tests/linux/run", "--mimsy", MIMSY,
                                               full=("--full",))),
    ("debian", "a whole Debian, used over its terminal",
     command("tests/debian/run", "--mimsy", MIMSY, full=("--full",))),
    ("guard", "exits, system calls and memory within their bounds",
     command("tests/bench/guard", "--mimsy", MIMSY)),
    ("hostile", "docs/hostile-cases.md is what all of these say",
     command("tests/hostile/table", "--check")),
    ("coverage", "lines that tests reach, against goals (with --full)",
     command("tests/coverage/run")),
]
FULL_ONLY = ("coverage", "cbmc")


def parse_args():
    p = argparse.ArgumentParser(prog="check", description="Sets up and runs all tests.")
    p.add_argument("--list", action="store_true", help="list the stages")
    p.add_argument("--full", action="store_true",
                   help="the long form of each stage that has one: hours instead of minutes")
    p.add_argument("--only", action="append", metavar="STAGE",
                   help="run this stage; may be repeated (build-gcc comes first by itself)")
    return p.parse_args()


def main():
    args = parse_args()
    if args.list:
        for name, what, _ in STAGES:
            print(f"{name:12} {what}")
        return 0
    names = [name for name, _, _ in STAGES]
    unknown = set(args.only or ()) - set(names)
    if unknown:
        print(f"check: no stage {', '.join(sorted(unknown))}; --list shows them", file=sys.stderr)
        return 2
    os.makedirs(RESULTS, exist_ok=True)
    total, summary, begin = Tally(), [], time.monotonic()
    for number, (name, what, stage) in enumerate(STAGES, 1):
        if args.only and name not in args.only and name != "build-gcc":
            continue
        if name in FULL_ONLY and not args.full and not args.only:
            continue
        start = time.monotonic()
        print(f"== {number}/{len(STAGES)} {name}: {what}", flush=True)
        os.environ["MIMSY_RESULTS"] = os.path.join(RESULTS, name)
        open(os.environ["MIMSY_RESULTS"], "w", encoding="utf-8").close()
        tally = stage(args)
        total.add(tally.passed, tally.failed, tally.skipped)
        summary.append(f"{name:12} {str(tally):40} {time.monotonic() - start:6.0f} s")
    print(f"== all stages, {time.monotonic() - begin:.0f} s")
    print("\n".join(summary))
    print(total, flush=True)
    return 1 if total.failed else 0


sys.exit(main())
