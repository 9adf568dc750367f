# SPDX-License-Identifier: Apache-2.0
"""Figures in documents that the tree itself can tell: a document that says another one is wrong.

Figures that take a run are in docs/performance.md, with the commit of that run; tests/bench/guard holds
the monitor to those that do not depend on the machine."""

import re

MODULE = "guest-patches/module/"
SERIES = "guest-patches/linux-6.12/"


def code_lines(tree, name):
    """All lines, and those that are neither blank nor comment."""
    text = tree.text(name)
    bare = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    return text.count("\n"), sum(1 for line in bare.split("\n") if line.strip())


def driver(tree):
    return code_lines(tree, MODULE + "virtio_mmio_msi.c")


def driver_header(tree):
    return code_lines(tree, MODULE + "virtio_mmio_msi.h")


def register_header(tree):
    return code_lines(tree, MODULE + "include/uapi/linux/virtio_mmio_msi.h")[:1]


def virtio_mmio_change(tree):
    """Lines that the 6.12 series adds to virtio_mmio.c and takes from it."""
    added = removed = 0
    for f in tree.files:
        if not (f.startswith(SERIES) and f.endswith(".patch")):
            continue
        for part in re.split(r"^diff --git ", tree.text(f), flags=re.M)[1:]:
            if part.split(" ")[0] == "a/drivers/virtio/virtio_mmio.c":
                body = re.split(r"^-- $", part, flags=re.M)[0].split("\n@@", 1)[1]
                added += len(re.findall(r"^\+", body, re.M))
                removed += len(re.findall(r"^-", body, re.M))
    return added, removed


def rule_calls(text, body):
    """Names of the system calls in a piece of vmm/filters/rules.c, its macros followed."""
    calls = set()
    for macro, args in re.findall(r"\b([A-Z_]+)\b(\([^\n]*\))?", body):
        meant = re.search(rf"#define {macro}\b[^\n]*\n((?:.*\\\n)*.*)", text)
        if not meant:
            continue
        direct = re.search(r"SCMP_SYS\((\w+)\)", meant[1])
        if direct:
            calls.add(re.match(r"\((\w+)", args)[1] if direct[1] == "call" else direct[1])
        elif "SCMP_SYS" not in meant[1]:
            calls |= rule_calls(text, meant[1])
    return calls


def role_calls(text, role):
    table = re.search(rf"const struct rule {role}_rules\[\] = \{{(.*?)\n\}};", text, re.S)
    return rule_calls(text, table[1])


def calls_of(role):
    return lambda tree: (len(role_calls(tree.text("vmm/filters/rules.c"), role)),)


def least_and_most_calls(tree):
    text = tree.text("vmm/filters/rules.c")
    counts = [len(role_calls(text, role))
              for role in re.findall(r"static const struct rule (\w+)_rules\[\]", text)]
    return min(counts), max(counts)


def vectors_by_register(tree):
    """Queues that can have a vector of their own: by MsiControl, and by the command register."""
    abi = tree.text("devices/virtio/vmmio_msi_abi.h")
    return tuple(int(re.search(rf"{name}\s+(0x[0-9a-f]+)", abi)[1], 16) - less
                 for name, less in (("VIRTIO_MMIO_MSI_CSR_NVEC_MASK", 1),
                                    ("VIRTIO_MMIO_MSI_CMD_VECTOR_MASK", 0)))


def mutations(tree):
    """How many of them ./check tries."""
    sample = re.search(r'"tests/mutation/run", "--sample", "(\d+)"', tree.text("tests/check.py"))
    return (int(sample[1]),)


def msi_block(tree):
    """Of the device, to the next ten lines."""
    return (round(tree.text("devices/virtio/vmmio_msi.c").count("\n"), -1),)


# document, a pattern whose groups are the figures, what they are
FIGURES = [
    ("docs/guest-driver.md", r"`virtio_mmio_msi\.c` is (\d+) lines, (\d+) without comments", driver),
    ("docs/guest-driver.md", r"its header (\d+) and (\d+)\.", driver_header),
    ("docs/guest-driver.md", r"`virtio_mmio\.c` gains (\d+) lines and loses\s+(\d+)\.",
     virtio_mmio_change),
    ("docs/guest-driver.md", r"The register header is (\d+) lines", register_header),
    ("docs/threat-model.md", r"\| vCPU \| (\d+) \|", calls_of("vcpu")),
    ("docs/threat-model.md", r"\| vCPU with `inline-kick=on` \| (\d+) \|", calls_of("vcpu_inline")),
    ("docs/threat-model.md", r"\| disk queue, threads \| (\d+) \|", calls_of("blk")),
    ("docs/threat-model.md", r"\| disk queue, io_uring \| (\d+) \|", calls_of("blk_uring")),
    ("docs/threat-model.md", r"\| interface \| (\d+) \|", calls_of("net")),
    ("docs/threat-model.md", r"\| main \| (\d+) \|", calls_of("main")),
    ("README.md", r"the (\d+) to (\d+) system calls of its role", least_and_most_calls),
    ("docs/virtio-mmio-msi.md", r"More than (\d+) queues with a vector each \(bits 10:0 of MsiControl\), "
     r"or (\d+)", vectors_by_register),
    ("docs/virtio-mmio-msi.md", r"The block is some (\d+) lines in the\s+device", msi_block),
    ("docs/testing.md", r"(\d+) of the known bugs", mutations),
]


def as_the_tree_says(tree):
    for document, pattern, figure in FIGURES:
        found = re.search(pattern, tree.text(document))
        if not found:
            yield f"{document}: no sentence like {pattern!r}: has it been reworded?"
            continue
        said, true = tuple(map(int, found.groups())), figure(tree)
        if said != true:
            yield f"{document}: {found[0]!r}: it is {', '.join(map(str, true))}"
