# SPDX-License-Identifier: Apache-2.0
"""What the compiler and the linker were asked for, looked for in the program."""

import glob
import os
import subprocess


def readelf(*args):
    return subprocess.run(["readelf", "-W", *args], capture_output=True, text=True,
                          check=True).stdout


def own_archives(build):
    return [path for part in ("vmm", "devices", "firmware")
            for path in glob.glob(os.path.join(build, part, "**", "*.a"), recursive=True)]


def symbols(path):
    """Names in a program or an archive, also those that it takes from elsewhere."""
    rows = map(str.split, readelf("--syms", path).splitlines())
    return {fields[7].split("@")[0] for fields in rows if len(fields) > 7}


def segment_flags(path, name):
    for line in readelf("-l", path).splitlines():
        fields = line.split()
        if fields and fields[0] == name:
            return "".join(f for f in fields[6:-1])
    return None


def writable_and_executable(path):
    loads = [line for line in readelf("-l", path).splitlines() if line.split()[:1] == ["LOAD"]]
    return [line for line in loads if "RWE" in "".join(line.split()[6:-1])]


def unmarked_objects(build):
    """Our own objects without the marks of -fcf-protection. C library and start files of
    Debian 12 lack them too, so that the program as a whole cannot carry them."""
    archives = own_archives(build)
    bad = []
    for archive in archives:
        for member in readelf("-n", archive).split("File: ")[1:]:
            if "IBT" not in member or "SHSTK" not in member:
                bad.append(member.split("\n", 1)[0])
    return bad if archives else ["no archive found"]


def checks(mimsy):
    """(name, holds) for each property."""
    header, dynamic = readelf("-h", mimsy), readelf("-d", mimsy)
    ours = set().union(*map(symbols, own_archives(os.path.dirname(mimsy))))
    yield "position independent (PIE)", "DYN (Position" in header and "PIE" in dynamic
    yield "all symbols bound at start (BIND_NOW)", "BIND_NOW" in dynamic
    yield "relocations read-only after start (RELRO)", segment_flags(mimsy, "GNU_RELRO") == "R"
    yield "stack not executable", segment_flags(mimsy, "GNU_STACK") == "RW"
    yield "no segment writable and executable", not writable_and_executable(mimsy)
    yield "no relocation in code (TEXTREL)", "TEXTREL" not in dynamic
    yield "no search path of its own", "RPATH" not in dynamic and "RUNPATH" not in dynamic
    yield "stack protector", "__stack_chk_fail" in ours
    yield "fortified calls", any(n.endswith("_chk") for n in ours)
    yield "no filter compiler in it", not any(n.startswith("seccomp_") for n in symbols(mimsy))
    bad = unmarked_objects(os.path.dirname(mimsy))
    yield "own objects marked for IBT and SHSTK" + (f" (not {bad[0]})" if bad else ""), not bad
