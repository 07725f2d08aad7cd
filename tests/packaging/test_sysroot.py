"""delegate/arm/sysroot.py takes Debian from where the machine's own apt does."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).resolve().parents[2] / "delegate" / "arm" / "sysroot.py"


@pytest.fixture
def sysroot():
    spec = importlib.util.spec_from_file_location("sysroot_under_test", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_release_and_not_its_updates(sysroot, monkeypatch):
    said = (
        "http://example.org/debian-security/ trixie-security\n"
        "http://example.org/debian/ trixie-updates\n"
        "http://example.org/debian/ trixie\n"
    )
    monkeypatch.setattr(sysroot, "_run", lambda command: said)
    assert sysroot.system_mirror() == "http://example.org/debian/"


def test_none(sysroot, monkeypatch):
    monkeypatch.setattr(sysroot, "_run", lambda command: "")
    with pytest.raises(sysroot.SysrootError, match="Give --mirror"):
        sysroot.system_mirror()
