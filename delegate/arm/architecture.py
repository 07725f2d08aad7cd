"""The two machines that are emulated: a Raspberry Pi's, in 64 and in 32 bits."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["AARCH64", "ARCHITECTURES", "ARMV7", "Architecture"]

# What python3.11 and the wheels' extension modules load; not the whole closure of `Depends`.
_PACKAGES = (
    *("libc6", "libgcc-s1", "libstdc++6", "zlib1g", "libexpat1", "libssl3", "libffi8"),
    *("libbz2-1.0", "liblzma5", "libcrypt1", "libuuid1"),
    *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "python3.11"),
)
# Debian 12 has glibc 2.36.
_GLIBC = range(17, 37)


@dataclass(frozen=True)
class Architecture:
    """What differs between them.

    Attributes:
        name: as in `make wheel-NAME`.
        debian: Debian's name.
        machine: of wheels' tags.
        cores: qemu's programs, the preferred one first, and the core that they are.
        packages: of Debian.
        wheels: beside this project's.
        libraries: where Debian's `alternatives` would have made links, for LD_LIBRARY_PATH.
        modules: a folder of Debian's own Python packages.
    """

    name: str
    debian: str
    machine: str
    qemu: tuple[str, str]
    core: str
    packages: tuple[str, ...]
    wheels: tuple[str, ...]
    libraries: tuple[str, ...] = ()
    modules: str = ""

    @property
    def platforms(self) -> tuple[str, ...]:
        """Tags of wheels that run on it."""
        return (
            *(f"manylinux_2_{minor}_{self.machine}" for minor in _GLIBC),
            f"manylinux2014_{self.machine}",
        )


AARCH64 = Architecture(
    name="aarch64",
    debian="arm64",
    machine="aarch64",
    qemu=("qemu-aarch64-static", "qemu-aarch64"),
    core="cortex-a76",  # Raspberry Pi 5: the instructions of ARMv8.2 exist
    packages=_PACKAGES,
    # 2.3.0 crashes when an interpreter is constructed under qemu 7.2; 1.4.0, 2.0.3, 2.1.2 run.
    wheels=("numpy==2.2.6", "ai-edge-litert==2.1.2"),
)

# LiteRT has no wheels for it, and NumPy neither: tflite-runtime, and Debian's NumPy.
ARMV7 = Architecture(
    name="armv7",
    debian="armhf",
    machine="armv7l",
    qemu=("qemu-arm-static", "qemu-arm"),
    core="cortex-a7",  # Raspberry Pi 2
    packages=(*_PACKAGES, "python3-numpy", "libblas3", "liblapack3", "libgfortran5"),
    wheels=("tflite-runtime==2.14.0",),
    libraries=(
        "usr/lib/arm-linux-gnueabihf/blas",
        "usr/lib/arm-linux-gnueabihf/lapack",
    ),
    modules="usr/lib/python3/dist-packages",
)

ARCHITECTURES = {each.name: each for each in (AARCH64, ARMV7)}
