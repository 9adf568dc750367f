# SPDX-License-Identifier: Apache-2.0
"""What the Linux-guest tests boot: kernels, stock kernels, initramfs images; built once, cached."""
