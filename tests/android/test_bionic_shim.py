"""The shim answers as bionic does where glibc answers otherwise."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from android_demo.tools import delegate
from tests.android import bionic_shim
from tests.android.conftest import need

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64" or sys.platform != "linux",
    reason="the Android libraries under test are those for x86-64",
)

# A library as the NDK makes it: bionic's numbers, structures and versions.
PROBE = r"""
__asm__(".symver __errno, __errno@LIBC");
__asm__(".symver __sF, __sF@LIBC");
__asm__(".symver __system_property_get, __system_property_get@LIBC");
__asm__(".symver fprintf, fprintf@LIBC");
__asm__(".symver getpid, getpid@LIBC");
__asm__(".symver strerror_r, strerror_r@LIBC");
__asm__(".symver sysconf, sysconf@LIBC");
extern char __sF[3][152];
int* __errno(void);
int __system_property_get(const char*, char*);
int fprintf(void*, const char*, ...);
int getpid(void);
int strerror_r(int, char*, unsigned long);
long sysconf(int);

int probe(void) {
  char sdk[92], error[80];
  *__errno() = 7;
  __system_property_get("ro.build.version.sdk", sdk);
  int failed = strerror_r(2, error, sizeof error);
  return fprintf(__sF[2], "%ld %s %d %s %d %d", sysconf(0x27), sdk, failed, error, *__errno(),
                 getpid() > 0);
}
"""


def test_bionics_numbers_and_streams(tmp_path: Path):
    (tmp_path / "probe.c").write_text(PROBE)
    *_, zig = need(delegate.tools)
    build = [zig, "cc", "-target", "x86_64-linux-gnu", "-shared", "-nostdlib", "-fPIC"]
    build += ["-o", "probe.so", "probe.c"]
    # The shim can only be linked once it exists, and it needs to know what to have.
    shim = tmp_path / "shim"
    bionic_shim.compile_shim(shim, {"getpid"})
    subprocess.run([*build, str(shim / "libc.so")], cwd=tmp_path, check=True)
    assert bionic_shim.imports(tmp_path / "probe.so") == {
        *("__errno", "__sF", "__system_property_get", "fprintf", "getpid"),
        *("strerror_r", "sysconf"),
    }
    done = subprocess.run(
        [sys.executable, "-c", "import ctypes; ctypes.CDLL('./probe.so').probe()"],
        cwd=tmp_path,
        env={**os.environ, "LD_LIBRARY_PATH": str(shim)},
        capture_output=True,
        text=True,
        check=False,
    )
    page = os.sysconf("SC_PAGESIZE")
    assert (done.returncode, done.stderr) == (0, f"{page} 34 0 No such file or directory 7 1")
