"""Benchmarks on other machines: phones through `adb`, boards through `ssh`.

A `Shell` runs programs on a device (`adb`, `ssh`, `local`); a `Device` measures models through
one. A device is a stranger: what it says is bounded, checked and made printable, and what is
sent to its shell is quoted. Needs NumPy only.
"""
