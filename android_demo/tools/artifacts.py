"""Fetches the packages that pom.xml pins, by Maven, into build/android/artifacts.

    python -m android_demo.tools.artifacts tflite r8     # groups, the executions of pom.xml

What is there already is not fetched again. Every file must have the checksum that
artifacts.sha256 has for it; `--write` adds those of a group that is new there.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tempfile
import xml.etree.ElementTree
import zipfile
from collections.abc import Iterable
from pathlib import Path

from android_demo.tools import BUILD, MissingError, ToolError, run

HERE = Path(__file__).resolve().parent
POM = HERE / "pom.xml"
CHECKSUMS = HERE / "artifacts.sha256"
FOLDER = BUILD / "artifacts"


def groups() -> dict[str, dict[str, str]]:
    """By group, file names by the same without the version, as pom.xml has them."""
    found: dict[str, dict[str, str]] = {}
    for execution in xml.etree.ElementTree.parse(POM).iter("execution"):
        names = found[execution.findtext("id", "")] = {}
        for item in execution.iter("artifactItem"):
            artifact, version = item.findtext("artifactId"), item.findtext("version")
            classifier = item.findtext("classifier")
            kind = f"-{classifier}" if classifier else ""
            kind += f".{item.findtext('type', 'jar')}"
            names[f"{artifact}{kind}"] = f"{artifact}-{version}{kind}"
    return found


def checksums() -> dict[str, str]:
    """SHA-256 by file name."""
    if not CHECKSUMS.is_file():
        return {}
    lines = (line.split() for line in CHECKSUMS.read_text().splitlines())
    return {name: checksum for checksum, name in lines}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def fetch(group: str, *, write: bool = False) -> dict[str, Path]:
    """The files of a group by their names without version, such as `tensorflow-lite.aar`.

    Raises:
        ToolError: if Maven is missing or fails, or a file is not what was pinned.
    """
    names = groups()[group]
    if not all((FOLDER / name).is_file() for name in names.values()):
        _maven(group, names.values())
    known = checksums()
    found = {}
    for short, name in names.items():
        path, checksum = FOLDER / name, _sha256(FOLDER / name)
        if write:
            known.setdefault(name, checksum)
        if known.get(name) != checksum:
            raise ToolError(
                f"Expected {path} with the checksum {known.get(name)} of {CHECKSUMS.name}, "
                f"got {checksum}. Remove the file and try again."
            )
        found[short] = path
    if write:
        lines = (f"{known[name]}  {name}\n" for name in sorted(known))
        CHECKSUMS.write_text("".join(lines))
    return found


def _maven(group: str, names: Iterable[str]) -> None:
    """Into a folder of its own first: other processes see whole files only."""
    program = shutil.which("mvn")
    if program is None:
        raise MissingError("Expected mvn, found none. Run: apt-get install maven")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        command = [program, "--quiet", "--batch-mode", f"--file={POM}", f"-Dfolder={folder}"]
        try:
            run([*command, f"dependency:copy@{group}"], f"Maven, for {group},")
        except ToolError as error:
            lines = [line for line in str(error).splitlines() if "ERROR" in line]
            raise MissingError(
                f"Maven cannot fetch {group}: {(lines or [error])[0]}"
            ) from error
        for name in names:
            Path(folder, name).replace(FOLDER / name)


def unpack(archive: Path) -> Path:
    """The folder with the members of an archive; unpacked once."""
    folder = FOLDER / archive.name.rpartition(".")[0]
    if not folder.is_dir():
        with tempfile.TemporaryDirectory(dir=FOLDER) as temporary:
            whole = Path(temporary, "whole")
            with zipfile.ZipFile(archive) as opened:
                opened.extractall(whole)
            try:
                whole.rename(folder)
            except OSError:  # another process was faster
                if not folder.is_dir():
                    raise
    return folder


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("groups", nargs="+", metavar="GROUP", choices=groups())
    parser.add_argument("--write", action="store_true", help="add checksums of new files")
    arguments = parser.parse_args()
    try:
        for group in arguments.groups:
            for path in fetch(group, write=arguments.write).values():
                print(path)
    except ToolError as error:
        print(f"artifacts: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
