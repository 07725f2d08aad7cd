"""What a device is: SoC, cores, governor, frequency, temperature, system.

A POSIX shell script reads /proc and /sys, which Android has, too, and Android's properties. It
prints lines "key TAB value"; a device may print anything else, so every line is checked.
"""

from __future__ import annotations

import math
import platform
import re
from collections.abc import Mapping
from typing import Any

from keras_sparsebnn.devices.shell import Shell
from keras_sparsebnn.errors import SparseBNNError

__all__ = ["parse", "read", "rows", "temperature"]

SCRIPT = r"""
r=$1
sys=$r/sys/devices/system/cpu
each() { while IFS= read -r line || [ -n "$line" ]; do printf '%s\t%s\n' "$1" "$line"; done; }
text() { [ -f "$2" ] && head -c 300 "$2" 2>/dev/null | tr '\000\n\t' '   ' | each "$1"; }
one() { cat "$1" 2>/dev/null || echo -; }
some() { grep -s -E "^($2)" "$3" | head -n "$4" | each "$1"; }
uname -m | each machine
uname -sr | each kernel
text board "$r/proc/device-tree/model"
text compatible "$r/proc/device-tree/compatible"
text product "$r/sys/class/dmi/id/product_name"
some system PRETTY_NAME= "$r/etc/os-release" 1
some memory MemTotal: "$r/proc/meminfo" 1
some cpuinfo 'processor|model name|Hardware|CPU implementer|CPU part' "$r/proc/cpuinfo" 2000
for core in "$sys"/cpu[0-9]*; do
  [ -d "$core" ] && printf '%s %s %s %s\n' "${core##*/cpu}" \
    "$(one "$core/cpufreq/scaling_governor")" "$(one "$core/cpufreq/cpuinfo_max_freq")" \
    "$(one "$core/cpufreq/scaling_cur_freq")"
done | each core
for zone in "$r"/sys/class/thermal/thermal_zone*; do
  [ -d "$zone" ] && printf '%s %s\n' "$(one "$zone/temp")" "$(one "$zone/type")"
done | each zone
if command -v getprop >/dev/null 2>&1; then
  for name in ro.product.manufacturer ro.product.model ro.product.cpu.abi \
    ro.build.version.release ro.build.version.sdk \
    ro.soc.manufacturer ro.soc.model ro.board.platform; do
    printf '%s=%s\n' "$name" "$(getprop "$name")"
  done | each property
  dumpsys battery 2>/dev/null | grep -E '^ *(level|temperature):' | each battery
fi
command -v vcgencmd >/dev/null 2>&1 && vcgencmd get_throttled 2>/dev/null | each throttled
exit 0
"""

MAX_LINES = 5000
MAX_CORES = 1024
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\u00a1-\ud7ff]+")

# Arm's numbers of its cores, as in the kernel's arch/arm64/include/asm/cputype.h.
_ARM_CORES = {
    **{0xC07: "Cortex-A7", 0xC08: "Cortex-A8", 0xC09: "Cortex-A9", 0xC0F: "Cortex-A15"},
    **{0xD03: "Cortex-A53", 0xD04: "Cortex-A35", 0xD05: "Cortex-A55", 0xD07: "Cortex-A57"},
    **{0xD08: "Cortex-A72", 0xD09: "Cortex-A73", 0xD0A: "Cortex-A75", 0xD0B: "Cortex-A76"},
    **{0xD0C: "Neoverse-N1", 0xD0D: "Cortex-A77", 0xD40: "Neoverse-V1", 0xD41: "Cortex-A78"},
    **{0xD44: "Cortex-X1", 0xD46: "Cortex-A510", 0xD47: "Cortex-A710", 0xD48: "Cortex-X2"},
    **{0xD49: "Neoverse-N2", 0xD4D: "Cortex-A715", 0xD4E: "Cortex-X3"},
}
_ARM = 0x41


def read(shell: Shell, root: str = "") -> dict[str, Any]:
    """Asks a device.

    Args:
        shell: of the device.
        root: a folder that has its /proc, /sys and /etc; for tests.

    Returns:
        Of these what it says: "name", "soc", "system", "kernel", "machine", "abi",
        "android_sdk", "cores" (for each kind "count", "kind", "governor", "max_mhz", "mhz"),
        "memory_bytes", "temperature_c", "battery_percent", "battery_c", "throttled".

    Raises:
        SparseBNNError: it cannot be reached.
    """
    try:
        output = shell.run(["sh", "-c", SCRIPT, "sh", root])
    except SparseBNNError:
        if shell.spec == "local":  # Windows
            return {"machine": platform.machine(), "system": platform.platform()}
        raise
    return parse(output.out)


def parse(text: str) -> dict[str, Any]:
    """The facts in what the script printed; what is not a valid fact is left out."""
    said: dict[str, list[str]] = {}
    for line in text.splitlines()[:MAX_LINES]:
        key, tab, value = line.partition("\t")
        if tab:
            said.setdefault(key, []).append(
                " ".join(_UNPRINTABLE.sub(" ", value[:400]).split())
            )
    first = {key: values[0] for key, values in said.items() if values[0]}
    properties = dict(item.partition("=")[::2] for item in said.get("property", ()))
    found: dict[str, Any] = {
        "name": _name(first, properties),
        "soc": _soc(first, said, properties),
        "system": _system(first, properties),
        "kernel": first.get("kernel"),
        "machine": first.get("machine"),
        "abi": properties.get("ro.product.cpu.abi"),
        "android_sdk": _integer(properties.get("ro.build.version.sdk", ""), 1000),
        "cores": _cores(said),
        "memory_bytes": _memory(first.get("memory", "")),
        "temperature_c": _temperature(said.get("zone", [])),
        "throttled": first.get("throttled", "").removeprefix("throttled="),
        **_battery(said.get("battery", [])),
    }
    return {name: value for name, value in found.items() if value not in (None, "", [])}


def _name(first: Mapping[str, str], properties: Mapping[str, str]) -> str | None:
    model = properties.get("ro.product.model")
    if model:
        maker = properties.get("ro.product.manufacturer", "")
        return model if model.lower().startswith(maker.lower()) else f"{maker} {model}"
    return first.get("board") or first.get("product")


def _soc(
    first: Mapping[str, str], said: Mapping[str, list[str]], properties: Mapping[str, str]
) -> str | None:
    model = properties.get("ro.soc.model")
    if model and model != "unknown":
        return f"{properties.get('ro.soc.manufacturer', '')} {model}".strip()
    if platform_name := properties.get("ro.board.platform"):
        return platform_name
    if compatible := first.get("compatible"):  # from the board to the chip: brcm,bcm2712
        return compatible.split()[-1].rpartition(",")[2].upper()
    for name in ("Hardware", "model name"):
        for line in said.get("cpuinfo", ()):
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    return None


def _system(first: Mapping[str, str], properties: Mapping[str, str]) -> str | None:
    if version := properties.get("ro.build.version.release"):
        return f"Android {version}"
    return first.get("system", "").partition("=")[2].strip("\"'") or None


def _cores(said: Mapping[str, list[str]]) -> list[dict[str, Any]]:
    """Cores of one kind, governor and clock together, the fastest last as Linux counts them."""
    parts: dict[int, str] = {}
    number, maker = -1, 0
    for line in said.get("cpuinfo", ()):
        key, _, value = (part.strip() for part in line.partition(":"))
        if key == "processor":
            number = _integer(value, MAX_CORES) or 0
        elif key == "CPU implementer":
            maker = _hexadecimal(value)
        elif key == "CPU part" and maker == _ARM:
            parts[number] = _ARM_CORES.get(_hexadecimal(value), "")
    groups: dict[tuple[str, str, int | None], list[int | None]] = {}
    lines = [line.split() for line in said.get("core", ())[:MAX_CORES]]
    for fields in sorted(lines, key=lambda f: _integer(f[0], MAX_CORES) or 0 if f else 0):
        if len(fields) != 4:
            continue
        core, governor = _integer(fields[0], MAX_CORES), fields[1].strip("-")
        fastest, now = (_integer(field, 10**8) for field in fields[2:])
        kind = parts.get(core if core is not None else -1, "")
        groups.setdefault((kind, governor, fastest), []).append(now)
    return [
        {
            "count": len(clocks),
            **({"kind": kind} if kind else {}),
            **({"governor": governor} if governor else {}),
            **({"max_mhz": round(fastest / 1e3)} if fastest else {}),
            **({"mhz": round(max(known) / 1e3)} if (known := [c for c in clocks if c]) else {}),
        }
        for (kind, governor, fastest), clocks in groups.items()
    ]


def _temperature(zones: list[str]) -> float | None:
    """The hottest zone of the processor, or of all if none is called so."""
    known = []
    for zone in zones:
        value, _, kind = zone.partition(" ")
        degrees = _number(value)
        if degrees is not None:
            degrees = degrees / 1000 if abs(degrees) > 200 else degrees
            if 0 < degrees < 150:
                known.append((degrees, kind.lower()))
    processor = [d for d, kind in known if re.search("cpu|soc|pkg|cluster", kind)]
    hottest = max(processor or [d for d, _ in known], default=None)
    return None if hottest is None else round(hottest, 1)


def _battery(lines: list[str]) -> dict[str, Any]:
    said = {key.strip(): value for key, _, value in (line.partition(":") for line in lines)}
    tenths = _number(said.get("temperature", ""))
    return {
        "battery_percent": _integer(said.get("level", ""), 100),
        "battery_c": None if tenths is None or not 0 < tenths < 1500 else tenths / 10,
    }


def _memory(line: str) -> int | None:
    found = re.search(r"(\d{1,12}) kB", line)
    return 1024 * int(found[1]) if found else None


def _integer(text: str, most: int) -> int | None:
    text = text.strip()
    return int(text) if re.fullmatch("[0-9]{1,10}", text) and int(text) <= most else None


def _hexadecimal(text: str) -> int:
    return int(text, 16) if re.fullmatch("0x[0-9a-fA-F]{1,8}", text) else 0


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def temperature(facts: Mapping[str, Any]) -> float | None:
    """The processor's or else the battery's, in degrees Celsius; None if it does not say."""
    value = facts.get("temperature_c", facts.get("battery_c"))
    return None if value is None else float(value)


def rows(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and value of every fact, for people.

    Example:
        >>> rows({"soc": "BCM2712", "cores": [{"count": 4, "kind": "Cortex-A76", "mhz": 1500}]})
        [('SoC', 'BCM2712'), ('cores', '4 x Cortex-A76, 1500 MHz')]
    """
    lines = []
    for key, label, unit in (
        ("name", "device", ""),
        ("soc", "SoC", ""),
        ("system", "system", ""),
        ("kernel", "kernel", ""),
        ("machine", "machine", ""),
        ("abi", "ABI", ""),
        ("android_sdk", "Android API", ""),
        ("cores", "cores", ""),
        ("memory_bytes", "memory", " MiB"),
        ("temperature_c", "temperature", " degrees C"),
        ("battery_percent", "battery", " %"),
        ("battery_c", "battery", " degrees C"),
        ("throttled", "throttled", ""),
    ):
        value = facts.get(key)
        if value is None:
            continue
        if key == "cores":
            lines += [(label, _core_text(group)) for group in value]
        else:
            text = f"{value >> 20}" if key == "memory_bytes" else str(value)
            lines.append((label, text + unit))
    return lines


def _core_text(group: Mapping[str, Any]) -> str:
    parts = [f"{group['count']} x {group.get('kind', 'core')}"]
    if governor := group.get("governor"):
        parts.append(f"governor {governor}")
    if fastest := group.get("max_mhz"):
        parts.append(f"up to {fastest} MHz")
    if now := group.get("mhz"):
        parts.append(f"{now} MHz" if not fastest else f"now {now} MHz")
    return ", ".join(parts)
