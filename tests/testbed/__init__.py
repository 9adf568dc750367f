# SPDX-License-Identifier: Apache-2.0
"""Runs commands under real KVM semantics: on the host, or in the test bed's L1 machine."""

from .bed import BedError, TestBed
from .host import Host, choose, decide, host_verdict
from .link import Result

__all__ = ["BedError", "Host", "Result", "TestBed", "choose", "decide", "host_verdict"]
