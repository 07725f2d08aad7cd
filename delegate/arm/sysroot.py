"""A Debian for ARM with Python, NumPy and TFLite in a folder, to run under qemu.

    python -m delegate.arm.sysroot [DIR]    # $SPARSEBNN_AARCH64_SYSROOT, else build/aarch64
    python -m delegate.arm.sysroot --architecture armv7 [DIR]

Needs Debian's apt-get and dpkg, pip, and their networks. Nothing of the system changes: apt
works on package lists of its own in DIR. Wheels are unpacked for CPython 3.11, whatever Python
runs this. What is there already is not made again; remove DIR to start over.

DIR/root is Debian, DIR/site holds the Python packages, DIR/cache what was downloaded.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from delegate.arm.architecture import AARCH64, ARCHITECTURES, Architecture

ROOT = Path(__file__).resolve().parents[2]
SUITE = "bookworm"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class SysrootError(RuntimeError):
    """The sysroot cannot be made here."""


def default_folder(architecture: Architecture = AARCH64) -> Path:
    """`$SPARSEBNN_AARCH64_SYSROOT`, or build/aarch64 in the checkout; likewise armv7."""
    variable = f"SPARSEBNN_{architecture.name.upper()}_SYSROOT"
    return Path(os.environ.get(variable) or ROOT / "build" / architecture.name)


def _run(command: list[str], folder: Path | None = None) -> str:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except OSError as error:
        raise SysrootError(f"Expected to run {command[0]}: {error.strerror}.") from error
    if done.returncode:
        said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        errors = [line for line in said if line.lower().startswith(("e:", "error"))]
        reason = (errors or said or ["no message"])[-1]
        raise SysrootError(f"{' '.join(command[:2])} failed ({done.returncode}): {reason}")
    return done.stdout


def pip_options(architecture: Architecture = AARCH64) -> list[str]:
    """What makes pip choose wheels for this sysroot's Python."""
    options = ["--only-binary=:all:", "--implementation=cp", "--python-version=3.11"]
    options += ["--abi=cp311", "--abi=abi3", "--abi=none"]
    return [*options, *(f"--platform={platform}" for platform in architecture.platforms)]


def _pip(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check"]


def system_mirror() -> str:
    """Where the system's own apt has its Debian from."""
    targets = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)"]
    for line in _run([*targets, "Created-By: Packages"]).splitlines():
        uri, _, release = line.partition(" ")
        if release.isalpha():  # not bookworm-security, not bookworm-updates
            return uri
    raise SysrootError("Expected a Debian release in apt's sources, got none. Give --mirror.")


def _apt_options(apt: Path, mirror: str, architecture: Architecture) -> list[str]:
    """Lists, cache and status of apt in the folder `apt`; proxies stay the system's."""
    if not KEYRING.is_file():
        raise SysrootError(
            f"Expected Debian's keys in {KEYRING}. Run: apt-get install debian-archive-keyring"
        )
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (apt / folder).mkdir(parents=True, exist_ok=True)
    (apt / "status").touch()
    sources = apt / "sources.list"
    sources.write_text(
        f"deb [arch={architecture.debian} signed-by={KEYRING}] {mirror} {SUITE} main\n"
    )
    settings = {
        "Dir::State": apt / "state",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt / "cache",
        "Dir::Etc::SourceList": sources,
        "Dir::Etc::SourceParts": "-",
        "APT::Architecture": architecture.debian,
        "APT::Architectures": architecture.debian,
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
    }
    return [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]


def make_debian(
    folder: Path, mirror: str | None = None, architecture: Architecture = AARCH64
) -> Path:
    """Downloads and unpacks Debian's packages; returns the root directory.

    Args:
        folder: of the sysroot.
        mirror: a Debian archive; the system's own if None.
        architecture: of the packages.
    """
    root, debs = folder / "root", folder / "cache" / "debs"
    stamp = folder / "debian.stamp"
    wanted = " ".join((SUITE, *architecture.packages))
    if stamp.is_file() and stamp.read_text() == wanted:
        return root
    shutil.rmtree(debs, ignore_errors=True)  # one version of each package
    debs.mkdir(parents=True)
    apt = (folder / "cache" / "apt").resolve()
    options = _apt_options(apt, mirror or system_mirror(), architecture)
    _run(["apt-get", "update", *options])
    _run(["apt-get", "download", *architecture.packages, *options], debs)
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    for package in architecture.packages:
        (archive,) = debs.glob(f"{package}_*.deb")
        _run(["dpkg", "-x", str(archive), str(root)])
    stamp.write_text(wanted)
    return root


def install_wheels(
    target: Path,
    requirements: list[str],
    *,
    wheels: Path,
    stamped: bool = True,
    architecture: Architecture = AARCH64,
) -> Path:
    """Unpacks wheels for CPython 3.11, with what they require, into `target`.

    Args:
        target: made anew, unless it holds just these already.
        requirements: names with versions, or paths of wheels.
        wheels: where downloads are kept; a second run needs no network.
        stamped: whether to remember what was installed, and not to do it again.
        architecture: of the wheels. What Debian's Python has is not fetched again.
    """
    stamp = target.with_name(target.name + ".stamp")
    wanted = "\n".join(requirements)
    if stamped and target.is_dir() and stamp.is_file() and stamp.read_text() == wanted:
        return target
    shutil.rmtree(target, ignore_errors=True)
    wheels.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as chosen:
        command = _pip("download", *pip_options(architecture), f"--find-links={wheels}")
        command += [f"--dest={chosen}", *(["--no-deps"] if architecture.modules else [])]
        try:
            _run([*command, "--no-index", *requirements])
        except SysrootError:  # for the first time
            _run([*command, *requirements])
        for wheel in sorted(Path(chosen).glob("*.whl")):
            unpack(wheel, target)
            if not any(wheel.name in requirement for requirement in requirements):
                shutil.copy2(wheel, wheels)
    if stamped:
        stamp.write_text(wanted)
    return target


def unpack(wheel: Path, target: Path) -> None:
    """As pip does into site-packages: wheels may share a folder, as LiteRT's and tflite's do.

    `pip install --target` would leave such a folder to the first of them.
    """
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    for folder in ("purelib", "platlib"):
        for data in target.glob(f"*.data/{folder}"):
            shutil.copytree(data, target, dirs_exist_ok=True)


def make(folder: Path, mirror: str | None = None, architecture: Architecture = AARCH64) -> None:
    """Makes the sysroot, or what of it is missing.

    Raises:
        SysrootError: in one line, which command failed and why.
    """
    make_debian(folder, mirror, architecture)
    cache = folder / "cache" / "wheels"
    wheels = list(architecture.wheels)
    install_wheels(folder / "site", wheels, wheels=cache, architecture=architecture)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", metavar="DIR", nargs="?", type=Path)
    parser.add_argument("--mirror", help="a Debian archive; default: this apt's")
    parser.add_argument("--architecture", choices=ARCHITECTURES, default="aarch64")
    arguments = parser.parse_args()
    architecture = ARCHITECTURES[arguments.architecture]
    folder = (arguments.folder or default_folder(architecture)).resolve()
    try:
        make(folder, arguments.mirror, architecture)
    except (SysrootError, OSError) as error:
        print(f"sysroot: {error}", file=sys.stderr)
        return 1
    print(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
