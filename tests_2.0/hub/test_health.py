"""healthy = the framework's own loader would load these files."""

import json
import subprocess
import sys

import damages
import hub_cache as build
import pytest

from mlxk.hub import health

LOADER = """
import json, sys, warnings
warnings.filterwarnings("ignore")
from mlx_lm.utils import load
answers = {}
for name, folder in json.load(sys.stdin).items():
    try:
        load(folder)
        answers[name] = None
    except Exception as e:
        answers[name] = f"{type(e).__name__}: {e}"[:200]
print("\\n" + json.dumps(answers))
"""


def snapshot(cache, kind):
    folder = cache.add("org/model")
    damages.KINDS[kind](folder)
    return folder


@pytest.mark.parametrize("kind", damages.BROKEN | damages.STRICTER, ids=str)
def test_a_broken_model_is_unhealthy_and_the_reason_names_a_file(hub_cache, kind):
    verdict = health.judge(snapshot(hub_cache, kind))
    assert not verdict.healthy
    assert ": " in verdict.reason
    assert "." in verdict.reason.partition(":")[0]


@pytest.mark.parametrize("kind", damages.WHOLE, ids=str)
def test_a_whole_model_is_healthy(hub_cache, kind):
    verdict = health.judge(snapshot(hub_cache, kind))
    assert verdict.problems == ()


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """What the real loader says about every kind, in one process."""
    pytest.importorskip("mlx.core", exc_type=ImportError)
    folders = {}
    for number, kind in enumerate(damages.KINDS):
        cache = build.at(tmp_path_factory.mktemp(f"kind{number}"))
        folders[kind] = str(snapshot(cache, kind))
    argv = [sys.executable, "-c", LOADER]
    done = subprocess.run(
        argv, input=json.dumps(folders), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("kind", damages.BROKEN, ids=str)
def test_mlx_lm_refuses_what_is_called_broken(truth, kind):
    assert truth[kind] is not None


@pytest.mark.parametrize("kind", damages.WHOLE | damages.STRICTER, ids=str)
def test_mlx_lm_loads_what_is_called_whole(truth, kind):
    assert truth[kind] is None
