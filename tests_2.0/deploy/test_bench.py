"""Benchmarks: the figures, what is remarked, and real engines, servers and deployments."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest
from scripted import Scripted as Steps

from mlxk.chat.scripted import Scripted, call
from mlxk.chat.types import Finish, Start, TextDelta, Usage
from mlxk.cli.bench_target import _only_model
from mlxk.contract import registry
from mlxk.contract.errors import OverCapacity, ProviderRefused
from mlxk.contract.notes import collecting
from mlxk.contract.validate import problems
from mlxk.deploy import bench_figures as figures
from mlxk.deploy.bench import Bench, Measured, Plan
from mlxk.deploy.bench_call import tool_call
from mlxk.deploy.bench_figures import Answer, Percentiles, Spread
from mlxk.deploy.bench_gates import Gates
from mlxk.providers.endpoints import endpoint

MLXK = [sys.executable, "-m", "mlxk"]
SMALL = ["--prompt-tokens", "40", "--max-tokens", "8", "--iterations", "2"]
ANSWER = Answer(100, 5, 20, (0.5, 0.6, 0.8, 1.0, 1.25), 1.3)


def turn(*words, usage, reason="length"):
    return (Start("r", "m"), *map(TextDelta, words), Finish(reason, usage))


async def run(model, **plan):
    """The bench after it has run, and the codes of what it remarked."""
    bench = Bench(Plan("m", **{"prompt_tokens": 8, "max_tokens": 4, **plan}))
    with collecting() as notes:
        rows = [e.iteration async for e in bench.run(model) if isinstance(e, Measured)]
    assert rows == bench.iterations
    return bench, {note.code for note in notes}


def mlxk(*argv, env=None):
    """Exit code, envelope, and what went to stderr."""
    done = subprocess.run(
        [*MLXK, *argv, "--json"], capture_output=True, check=False, timeout=120, env=env
    )
    return done.returncode, orjson.loads(done.stdout), done.stderr.decode()


def test_an_answers_figures():
    assert ANSWER.ttft_s == 0.5
    assert ANSWER.gen_tps == pytest.approx(4 / 0.8)
    assert ANSWER.gaps == pytest.approx((0.1, 0.2, 0.2, 0.25))
    assert (Answer(9, 0, 0, (), 0.1).ttft_s, Answer(9, 0, 0, (), 0.1).gen_tps) == (None, None)
    assert Answer(9, 4, 0, (0.1,), 0.1001).gen_tps is None  # in one piece


def test_a_rounds_figures_count_only_what_was_read_and_all_that_was_made():
    late = Answer(100, 5, 0, (0.9, 1.0, 1.1, 1.2, 1.9), 1.9)
    row = figures.iteration(3, 1, [ANSWER, late], 2.0)
    assert (row.failed, row.prompt_tokens, row.cached_tokens) == (1, 200, 20)
    assert row.prompt_tps == 200.0  # 180 tokens within 0.9 s
    assert row.gen_tps == pytest.approx((5 + 4) / 2)
    assert (row.total_tps, row.ttft_s) == (5.0, 0.7)


def test_a_level_has_means_and_percentiles():
    rows = [figures.iteration(1, n, [ANSWER], s) for n, s in ((1, 1.0), (2, 2.0))]
    level = figures.level(rows, [ANSWER, ANSWER])
    assert level.total_tps == Spread(3.75, 1.77)
    assert level.gap_s == Percentiles(0.2, 0.25)
    assert figures.level(rows[:1], [ANSWER]).gen_tps == Spread(5.0, None)


@pytest.mark.parametrize(("share", "value"), [(0.5, 2), (0.51, 3), (0.95, 4), (0.25, 1), (0.01, 1)])
def test_a_percentile_is_a_value_that_was_seen(share, value):
    assert figures.percentile([4, 2, 3, 1], share) == value


def test_gates_are_met_at_their_limit_and_missed_without_figures():
    rows = [figures.iteration(1, 1, [ANSWER], 1.3)]
    gates = Gates(min_gen_tps=5, min_prompt_tps=161, max_ttft_s=0.5)
    level = figures.level(rows, [ANSWER])
    assert [v.passed for v in gates.verdicts(level)] == [True, False, True]
    assert not any(v.passed for v in gates.verdicts(None))
    assert Gates().verdicts(level) == ()


async def test_every_prompt_is_new_and_the_warm_up_is_not_counted():
    model = Steps(turn(*"abcd", usage=Usage(8, 4)))
    bench, remarks = await run(model, levels=(1, 3), iterations=2, prompt_tokens=8)
    prompts = [request.messages[0].text for request in model.requests]
    assert len(set(prompts)) > len(prompts) - 3  # of eight words, two may be alike
    assert [(row.concurrency, row.iteration) for row in bench.iterations] == [
        (1, 1), (1, 2), (3, 1), (3, 2),
    ]  # fmt: skip
    assert len(model.requests) == 2 + (1 + 2) + (3 + 6)
    assert all(request.ignore_eos for request in model.requests)
    assert remarks == set()


async def test_a_server_that_knows_no_fixed_length_is_asked_without():
    refused = (ProviderRefused("unknown parameter: ignore_eos"),)
    model = Steps(refused, turn("a", "b", usage=Usage(8, 2), reason="stop"))
    bench, remarks = await run(model)
    assert [request.ignore_eos for request in model.requests[:2]] == [True, False]
    assert remarks == {"short_answers"}
    assert bench.iterations[0].completion_tokens == 2


@pytest.mark.parametrize(
    ("usage", "words", "remark"),
    [
        (Usage(8, 4, 8), "abcd", "prompt_cached"),
        (Usage(), "abcd", "no_usage"),
        (Usage(8, 4), "ab", "merged_tokens"),
        (Usage(99, 4), "abcd", "prompt_length"),
    ],
)
async def test_what_falsifies_a_figure_is_said(usage, words, remark):
    bench, remarks = await run(Steps(turn(*words, usage=usage)))
    assert remarks == {remark}
    assert bench.iterations[0].completion_tokens == 4
    if remark in ("prompt_cached", "no_usage"):
        assert bench.levels[0].prompt_tps is None


@pytest.mark.parametrize("a_word", [1, 3])
async def test_prompts_have_about_the_length_that_was_asked_for(a_word):
    """A template adds nine tokens; a word is one token or three."""

    class Counting:
        async def stream(self, request):
            length = 9 + a_word * len(request.messages[0].text.split())
            for event in turn(*"abcd", usage=Usage(length, 4)):
                yield event

    bench, remarks = await run(Counting(), prompt_tokens=600)
    assert all(abs(row.prompt_tokens - 600) <= 3 for row in bench.iterations)
    assert remarks == set()


async def test_prompts_stay_short_where_nobody_counts_them():
    model = Steps(turn(*"abcd", usage=Usage()))
    await run(model, prompt_tokens=600)
    assert {len(r.messages[0].text.split()) for r in model.requests[1:]} == {450}


async def test_a_model_that_says_nothing_has_no_speed():
    bench, remarks = await run(Steps(turn(usage=Usage(8, 0), reason="stop")))
    row, level = bench.iterations[0], bench.levels[0]
    assert (row.completion_tokens, row.gen_tps, row.ttft_s) == (0, None, None)
    assert (level.gen_tps, level.ttft_s, level.gap_s) == (None, None, None)
    assert remarks == {"short_answers"}


async def test_some_that_fail_are_counted_and_all_that_fail_end_it():
    good, full = turn(*"abcd", usage=Usage(8, 4)), (OverCapacity("full"),)
    bench, remarks = await run(Steps(*[good] * 5, full, good), levels=(3,), iterations=1)
    assert (bench.iterations[0].failed, bench.levels[0].failed) == (1, 1)
    assert "request_failed" in remarks
    broken = Bench(Plan("m", prompt_tokens=8, max_tokens=4, iterations=5))
    with pytest.raises(OverCapacity):
        [event async for event in broken.run(Steps(*[good] * 5, full))]
    assert len(broken.iterations) == 2


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        (call("get_weather", '{"city": "Rome"}'), "passed"),
        ("It is sunny.", "no_call"),
        (call("get_time", "{}"), "wrong_tool"),
        (call("get_weather", '{"town": "Rome"}'), "invalid_arguments"),
        (call("get_weather", "{"), "invalid_arguments"),
        (ProviderRefused("no tools"), "refused"),
    ],
)
async def test_a_tool_call_is_judged(said, verdict):
    assert (await tool_call(Scripted(said), "m")).verdict == verdict


def test_a_saved_benchmark_is_what_recommend_goes_by(home):
    entry = home / "catalog" / "tiny.yaml"
    entry.parent.mkdir()
    entry.write_bytes(orjson.dumps(ENTRY))
    before = mlxk("recommend", "--dir", str(entry.parent), "--budget", "1")[1]
    assert before["error"]["type"] == "nothing_fits"
    code, envelope, _ = mlxk(
        "bench", "builtin:tiny", *SMALL, "--save", "--min-gen-tps", "1e9", "--draft", "lookup"
    )
    data = envelope["data"]
    assert (code, envelope["error"]["type"]) == (3, "check_failed")
    assert data["verdicts"] == [
        {
            "name": "gen_tps",
            "wanted": "at least 1e+09",
            "measured": data["gen_tps"]["mean"],
            "passed": False,
        }
    ]
    assert [row["completion_tokens"] for row in data["iterations"]] == [8, 8]
    assert (data["cached_tokens"], data["memory_source"]) == (0, "mlx")
    assert data["drafts"]["drafted_tokens"] >= data["drafts"]["accepted_tokens"] >= 0
    tier = mlxk("recommend", "--dir", str(entry.parent), "--budget", "1")[1]["data"]["tiers"][0]
    assert tier["gen_tps"] == pytest.approx(data["gen_tps"]["mean"], abs=0.06)
    assert tier["memory_gb"] == round(data["peak_memory_gb"], 2)
    assert tier["is_estimated"] is False


def test_what_runs_already_is_not_told_how_to_draft(home):
    code, envelope, _ = mlxk("bench", "http://127.0.0.1:1", "--draft", "off")
    assert (code, envelope["error"]["type"]) == (2, "usage_error")
    assert "serve --draft" in envelope["error"]["hint"]


def test_a_file_of_benchmarks_that_cannot_be_read_is_said_before_anything_is_measured(home):
    profile = mlxk("profile")[1]["data"]["profile"]["profile_id"]
    path = home / ".mlxk" / "benchmarks" / f"{profile}.json"
    path.parent.mkdir()
    path.write_text("{")
    code, envelope, said = mlxk("bench", "builtin:tiny", "--save")
    assert (code, envelope["error"]["type"]) == (1, "corrupt_state")
    assert "loading" not in said


def test_a_server_is_asked_over_http(tiny):
    code, envelope, said = mlxk("bench", tiny.url, *SMALL, "--concurrency", "1,3", "--tool-call")
    data = envelope["data"]
    assert (code, data["kind"], data["model"]) == (0, "server", "builtin:tiny")
    assert [level["concurrency"] for level in data["sweep"]] == [1, 3]
    assert {row["completion_tokens"] for row in data["iterations"]} == {8, 24}
    assert 0 <= data["gap_s"]["p50"] <= data["gap_s"]["p95"]
    assert data["peak_memory_gb"] > 0.001
    assert data["tool_call"]["verdict"] in ("passed", "no_call")
    assert "3 at once, round 2" in said


async def test_a_model_with_an_alias_is_still_the_only_one(serve):
    http = await serve({"org/m": Scripted("x")}, aliases={"gpt-5": "org/m"})
    row = endpoint("openai", str(http._base_url))
    assert await asyncio.to_thread(_only_model, row) == "org/m"


@pytest.mark.parametrize(
    ("argv", "code", "error"),
    [
        (["http://127.0.0.1:9"], 1, "not_found"),
        (["http://me:secret@127.0.0.1:9"], 2, "invalid_value"),
        (["http://127.0.0.1:9", "--model", "m"], 1, "provider_error"),
        (["builtin:tiny", "--concurrency", "0"], 2, "usage_error"),
        (["builtin:tiny", "--concurrency", "4", "--save"], 2, "usage_error"),
        (["builtin:tiny", "--prompt-tokens", "100000000"], 2, "usage_error"),
        (["builtin:tiny", "--model", "m"], 2, "usage_error"),
        (["builtin:tiny", "--plot", "x.txt"], 2, "invalid_value"),
        (["http://192.0.2.1", "--model", "m", "--save"], 2, "usage_error"),
        (["http://192.0.2.1", "--model", "m", "--api-key-env", "NO_SUCH"], 2, "invalid_value"),
    ],
)
def test_what_cannot_be_measured_is_said(home, argv, code, error):
    found, envelope, said = mlxk("bench", *argv)
    assert (found, envelope["error"]["type"]) == (code, error)
    assert "Traceback" not in said
    assert "secret" not in orjson.dumps(envelope).decode() + said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_benchmark_tells_what_it_completed(tiny, number):
    argv = [*MLXK, "bench", tiny.url, *SMALL, "--iterations", "900", "--events"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        for line in process.stdout:
            if orjson.loads(line)["type"] == "iteration":
                break
        process.send_signal(number)
        last = orjson.loads(process.stdout.read().splitlines()[-1])
        assert b"Traceback" not in process.stderr.read()
    assert process.returncode == 128 + number
    assert last["error"]["type"] == "interrupted"
    assert len(last["data"]["iterations"]) >= 1
    assert last["data"]["gen_tps"]["mean"] > 0


def test_a_deployment_is_measured_by_its_name(home):
    assert mlxk("deploy", "add", "mine", "--model", "builtin:tiny", "--port", "auto")[0] == 0
    code, envelope, _ = mlxk("bench", "mine")
    assert (code, envelope["error"]["hint"]) == (1, "mlxk up mine")
    assert envelope["error"]["type"] == "not_running"
    try:
        assert mlxk("up", "mine")[0] == 0
        code, envelope, _ = mlxk("bench", "mine", *SMALL, "--save")
    finally:
        mlxk("down", "mine")
    data = envelope["data"]
    assert (code, data["kind"], data["model"]) == (0, "deployment", "builtin:tiny")
    saved = orjson.loads(Path(data["saved_to"]).read_bytes())
    assert saved["builtin:tiny"]["memory_gb"] == data["peak_memory_gb"]


def test_every_event_obeys_its_schema():
    *events, _ = registry.example("bench")
    assert {event["type"] for event in events} == {"phase", "iteration"}
    assert not [problem for event in events for problem in problems("bench-event", event)]


def test_a_picture_is_drawn(tmp_path):
    from mlxk.cli.bench_plot import draw

    rows = [figures.iteration(n, 1, [ANSWER] * n, 1.3) for n in (1, 4)]
    levels = tuple(figures.level([row], [ANSWER]) for row in rows)
    draw(SimpleNamespace(model="m", prompt_tokens=9, sweep=levels), tmp_path / "speed.png")
    assert (tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")
    draw(SimpleNamespace(model="m", prompt_tokens=9, sweep=levels[:1]), tmp_path / "speed.svg")
    assert "together" in (tmp_path / "speed.svg").read_text()


def test_without_matplotlib_the_hint_is_what_to_install(home, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['matplotlib'] = None")
    env = os.environ | {"PYTHONPATH": str(tmp_path)}
    code, envelope, _ = mlxk("bench", "builtin:tiny", "--plot", str(tmp_path / "a.png"), env=env)
    assert (code, envelope["error"]["type"]) == (1, "extra_missing")
    assert "mlxk[plot]" in envelope["error"]["hint"]


ENTRY = {
    "id": "tiny",
    "name": "Tiny",
    "family": "tiny",
    "params_b": 0.002,
    "architecture": "transformer",
    "min_mlx_lm_version": None,
    "sources": {"int4": {"hf_repo": "builtin:tiny", "disk_size_gb": 0.004}},
    "capabilities": {
        "tool_calling": True,
        "tool_call_parser": None,
        "thinking": False,
        "reasoning_parser": None,
        "vision": False,
    },
    "quality": {
        "overall": 60,
        "coding": None,
        "reasoning": None,
        "instruction_following": None,
        "source": None,
    },
    "benchmarks": {},
    "tags": [],
}
