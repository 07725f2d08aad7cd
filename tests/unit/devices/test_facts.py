"""What a device says of itself, and what it says instead."""

from __future__ import annotations

import pytest

from keras_sparsebnn.devices import facts
from keras_sparsebnn.devices.local import LocalShell


@pytest.fixture
def raspberry_pi(tmp_path):
    """The files of a Raspberry Pi 5 that the script reads."""
    files = {
        "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
        "proc/device-tree/compatible": "raspberrypi,5-model-b\0brcm,bcm2712\0",
        "proc/meminfo": "MemTotal:        8245760 kB\nMemFree: 1 kB\n",
        "proc/cpuinfo": "".join(
            f"processor\t: {i}\nCPU implementer\t: 0x41\nCPU part\t: 0xd0b\n\n"
            for i in range(4)
        ),
        "etc/os-release": 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
        "sys/class/thermal/thermal_zone0/temp": "48350\n",
        "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
        "sys/class/thermal/thermal_zone1/temp": "61000\n",
        "sys/class/thermal/thermal_zone1/type": "battery\n",
    }
    for i in range(4):
        folder = f"sys/devices/system/cpu/cpu{i}/cpufreq"
        files[f"{folder}/scaling_governor"] = "ondemand\n"
        files[f"{folder}/cpuinfo_max_freq"] = "2400000\n"
        files[f"{folder}/scaling_cur_freq"] = f"{1500 + i}000\n"
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_a_raspberry_pi(raspberry_pi):
    found = facts.read(LocalShell(), str(raspberry_pi))
    assert found.pop("kernel").startswith("Linux ")
    assert found.pop("machine")
    assert found == {
        "name": "Raspberry Pi 5 Model B Rev 1.0",
        "soc": "BCM2712",
        "system": "Debian GNU/Linux 12 (bookworm)",
        "cores": [
            {
                "count": 4,
                "kind": "Cortex-A76",
                "governor": "ondemand",
                "max_mhz": 2400,
                "mhz": 1503,
            }
        ],
        "memory_bytes": 8245760 * 1024,
        "temperature_c": 48.4,
    }
    assert ("cores", "4 x Cortex-A76, governor ondemand, up to 2400 MHz, now 1503 MHz") in (
        facts.rows(found)
    )
    assert facts.temperature(found) == 48.4


def test_a_phone_of_two_kinds_of_cores():
    text = "".join(
        f"cpuinfo\tprocessor : {i}\ncpuinfo\tCPU implementer : 0x41\n"
        f"cpuinfo\tCPU part : {'0xd05' if i < 4 else '0xd41'}\n"
        f"core\t{i} schedutil {1800000 if i < 4 else 2400000} -\n"
        for i in range(6)
    )
    text += "property\tro.product.model=Pixel 9\nproperty\tro.product.manufacturer=Google\n"
    text += "property\tro.build.version.release=15\nproperty\tro.build.version.sdk=35\n"
    text += (
        "property\tro.board.platform=zuma\nbattery\t  level: 77\nbattery\t temperature: 301\n"
    )
    found = facts.parse(text)
    assert [(g["count"], g["kind"], g["max_mhz"]) for g in found["cores"]] == [
        (4, "Cortex-A55", 1800),
        (2, "Cortex-A78", 2400),
    ]
    assert (found["name"], found["soc"], found["system"]) == (
        *("Google Pixel 9", "zuma", "Android 15"),
    )
    assert (found["android_sdk"], found["battery_percent"]) == (35, 77)
    assert facts.temperature(found) == 30.1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\t\t\t\n" * 10,
        "core\t\ncore\t1\ncore\t99999999999 a b c\ncore\tx y z w\n",
        "zone\tnan cpu\nzone\t1e999 cpu\nzone\t\nzone\t-5 cpu\n",
        "memory\tMemTotal: many kB\ncpuinfo\tprocessor\ncpuinfo\t:\ncpuinfo\tCPU part: 0xZZ\n",
        "battery\ttemperature: hot\nbattery\tlevel: 400\n",
        "property\t=\nproperty\tro.build.version.sdk=9999\ncompatible\t ,\n",
    ],
)
def test_nonsense_is_left_out(text):
    found = facts.parse(text)
    assert set(found) <= {"cores"}
    assert all(group["count"] >= 1 for group in found.get("cores", []))
    facts.rows(found)


def test_long_and_unprintable_text_is_cut():
    found = facts.parse("machine\t\x1b[2J" + "x" * 10_000 + "\n" + "zone\t1 cpu\n" * 100_000)
    assert "\x1b" not in found["machine"]
    assert len(found["machine"]) <= 400
