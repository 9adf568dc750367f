# SPDX-License-Identifier: Apache-2.0
"""Tests that boot Linux guests with mimsy, on the host's KVM or in test beds."""
