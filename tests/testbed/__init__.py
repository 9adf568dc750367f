# SPDX-License-Identifier: Apache-2.0
"""Runs commands under real KVM semantics: in the test bed's L1 machine."""

from .bed import BedError, TestBed
from .link import Result

__all__ = ["BedError", "Result", "TestBed"]
