"""Machines as their own tools describe them."""

import orjson
import pytest

from mlxk.advise.profile import by_memory, detected, profile_of, slug
from mlxk.system.accelerator import Machine, gpu_cores, machine, nvidia_devices

# What nvidia-smi said on a machine with one H200, driver 580.159.04.
H200 = "0, NVIDIA H200, 143771\n"
DISPLAYS = orjson.dumps({"SPDisplaysDataType": [{"sppci_cores": "40"}]}).decode()


def mac(chip, cores, gib):
    return profile_of(Machine("metal", chip, cores, (), gib << 30))


def test_an_nvidia_machine_is_described_by_its_device():
    found = profile_of(machine(lambda argv: H200, system="linux"))
    assert found.backend == "cuda"
    assert found.profile_id == "h200-140"
    assert found.devices[0].memory_gb == found.memory_gb == 140.4
    assert (found.bandwidth_gbps, found.is_estimate) == (4800, False)


def test_a_mac_is_described_by_sysctl_and_system_profiler():
    said = {"machdep.cpu.brand_string": "Apple M4 Max\n", "hw.memsize": f"{128 << 30}\n"}
    found = profile_of(machine(lambda argv: said.get(argv[-1], DISPLAYS), system="darwin"))
    assert (found.profile_id, found.gpu_cores, found.bandwidth_gbps) == ("m4-max-128", 40, 546)


def test_this_machine_has_a_profile(home):
    found = profile_of(machine())
    assert found.memory_gb > 0
    assert found.bandwidth_gbps > 0


@pytest.mark.parametrize(
    ("chip", "cores", "bandwidth"),
    [
        ("Apple M1", 8, 68.25),
        ("Apple M1 Ultra", 64, 800),
        ("Apple M3 Max", 30, 300),
        ("Apple M3 Max", 40, 400),
        ("Apple M3 Ultra", 80, 819),
        ("Apple M4 Pro", 20, 273),
        ("Apple M4 Max", 32, 410),
        ("Apple M5 Max", 40, 614),
    ],
    ids=str,
)
def test_bandwidth_goes_by_chip_and_gpu_cores(chip, cores, bandwidth):
    assert mac(chip, cores, 64).bandwidth_gbps == bandwidth


@pytest.mark.parametrize(
    ("gib", "speed"), [(8, 68), (16, 100), (17, 200), (64, 400), (128, 546), (512, 800)], ids=str
)
def test_an_unknown_chip_is_guessed_by_memory(gib, speed):
    found = mac("Apple M9", 10, gib)
    assert (found.bandwidth_gbps, found.is_estimate) == (speed, True)
    assert by_memory(gib) == speed


@pytest.mark.parametrize(
    ("chip", "name"),
    [
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA GeForce RTX 4090", "rtx-4090"),
        ("NVIDIA A100-SXM4-80GB", "a100-sxm4-80gb"),
        ("Apple M2 Pro", "m2-pro"),
        ("", "unknown"),
    ],
    ids=str,
)
def test_chips_get_short_names(chip, name):
    assert slug(chip) == name


@pytest.mark.parametrize("text", ["", "no devices", "0, NVIDIA", "x, y, z", "[N/A], a, [N/A]"])
def test_what_is_no_device_is_left_out(text):
    assert nvidia_devices(text) == ()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"SPDisplaysDataType": [{}]}'])
def test_without_displays_the_cores_are_unknown(text):
    assert gpu_cores(text) is None


def test_a_profile_is_saved_and_a_broken_one_detected_anew(home):
    first = detected(home)
    assert detected(home) == first
    (home / "profile.json").write_text("{")
    assert detected(home, save=False) == first
    assert (home / "profile.json").read_text() == "{"
    detected(home, refresh=True)
    assert detected(home) == first
