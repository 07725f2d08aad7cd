"""delegate/arm/sysroot.py takes Debian from where the machine's own apt does."""

import pytest

from delegate.arm import sysroot


def test_the_release_and_not_its_updates(monkeypatch):
    said = (
        "http://example.org/debian-security/ trixie-security\n"
        "http://example.org/debian/ trixie-updates\n"
        "http://example.org/debian/ trixie\n"
    )
    monkeypatch.setattr(sysroot, "_run", lambda command: said)
    assert sysroot.system_mirror() == "http://example.org/debian/"


def test_none(monkeypatch):
    monkeypatch.setattr(sysroot, "_run", lambda command: "")
    with pytest.raises(sysroot.SysrootError, match="Give --mirror"):
        sysroot.system_mirror()
