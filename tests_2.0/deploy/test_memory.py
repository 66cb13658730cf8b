"""The one estimate against what MLX really holds, for three small models at full context."""

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

BENCHMARK = Path(__file__).parent.parent.parent / "benchmarks" / "deploy_memory.py"


@pytest.mark.slow
def test_the_estimate_is_what_mlx_holds_and_a_tenth():
    done = subprocess.run([sys.executable, str(BENCHMARK)], capture_output=True, check=True)
    rows = orjson.loads(done.stdout)["models"]
    assert len(rows) == 3
    for row in rows.values():
        assert 1.0 <= row["ratio"] <= 1.2, row
