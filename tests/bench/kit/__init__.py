# SPDX-License-Identifier: Apache-2.0
"""The bench: monitors beside each other, the same guest, exact counts."""
