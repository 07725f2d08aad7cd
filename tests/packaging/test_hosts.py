"""No package host is named: packages come from where the machine is set up to get them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Papers, specifications, licences and data sets; and the host that stands for any. A link to
# another page that offers no packages may be added.
PAGES = {
    "arxiv.org",
    "example.org",
    "keepachangelog.com",
    "schemas.android.com",  # the name space of manifests
    "www.apache.org",
    "www.cs.toronto.edu",
    "www.tensorflow.org",
    "www.w3.org",  # the name space of SVG
}
# In two parts, or this file would name them.
REGISTRIES = (
    ("deb", "ian.org"),
    ("ubun", "tu.com"),
    ("pyp", "i.org"),
    ("python", "hosted.org"),
    ("npm", "js.org"),
    ("yarn", "pkg.com"),
    ("maven", ".org"),
    ("maven", ".apache.org"),
    ("dl.goo", "gle.com"),
    ("ana", "conda.org"),
    ("crat", "es.io"),
    ("golang", ".org"),
    ("docker", ".io"),
    ("ghcr", ".io"),
    ("quay", ".io"),
    ("jit", "pack.io"),
)
REGISTRY = re.compile("|".join(re.escape("".join(parts)) for parts in REGISTRIES), re.I)
URL = re.compile(r"\b(?:https?|ftp|git)://(?:[^/\s@]*@)?([A-Za-z0-9.-]+)", re.I)


def hosts(text: str) -> set[str]:
    """Those that should not be named."""
    linked = {host.lower().rstrip(".") for host in URL.findall(text)}
    local = {host for host in linked if "." not in host or re.fullmatch(r"[\d.]+", host)}
    return linked - PAGES - local | {host.lower() for host in REGISTRY.findall(text)}


def test_no_package_host_is_named():
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("this is no git checkout")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    assert len(paths) > 200
    found = {}
    for path in paths:
        data = path.read_bytes() if path.is_file() else b""
        if b"\0" not in data and (named := hosts(data.decode("utf-8", "replace"))):
            found[str(path.relative_to(ROOT))] = named
    assert found == {}


@pytest.mark.parametrize(
    "text",
    [
        "deb http://deb." + "".join(REGISTRIES[0]) + "/debian trixie main",
        "index-url = https" + "://user:word@packages.example.net/simple",
        "see files." + "".join(REGISTRIES[3]),
        "GET HTTPS://REGISTRY." + "".join(REGISTRIES[4]).upper(),
    ],
)
def test_finds(text):
    assert hosts(text)


def test_pages_and_local_addresses_may_be_named():
    assert (
        hosts("https://arxiv.org/abs/2303.14470 http://127.0.0.1:80/ http://localhost/x")
        == set()
    )
