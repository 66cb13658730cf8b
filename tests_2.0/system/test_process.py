"""Who a process is stays the same, whatever its name and whoever asks."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import until

from mlxk.system import process


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_a_name_cut_within_a_letter_is_a_name():
    comm = Path("/proc/self/comm")
    before = comm.read_bytes()
    try:
        comm.write_bytes(b"mlxk: T\xc3")
        assert process.is_alive(process.identity())
    finally:
        comm.write_bytes(before)


@pytest.mark.skipif(not shutil.which("ps"), reason="ps")
def test_a_service_and_a_terminal_see_the_same_process(monkeypatch):
    """On macOS the start is what `ps` says, and that is told in the asker's own time."""
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(process, "boot_id", lambda: "boot")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    here = process.identity()
    monkeypatch.setenv("TZ", "America/New_York")
    assert process.is_alive(here)
    ended = subprocess.Popen(["true"])
    until(lambda: process.identity(ended.pid) is None)
    assert ended.wait() == 0
