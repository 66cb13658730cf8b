"""The published examples of commands that change models are what they print."""

import json
import subprocess
import sys

import hub_cache as build
import orjson

from mlxk.contract.validate import problems


def mlxk(*argv):
    argv = [sys.executable, "-m", "mlxk", *argv]
    done = subprocess.run(argv, capture_output=True, check=False, timeout=60)
    lines = [orjson.loads(line) for line in done.stdout.splitlines()]
    assert not problems(lines[-1]["command"], lines[-1])
    return lines


def test_pull(hub_server, golden):
    hub_server.add("mlx-community/Tiny-4bit", build.model())
    *files, envelope = sorted(mlxk("pull", "Tiny-4bit", "--events"), key=_order)
    golden("pull.jsonl", [files[-1], envelope])


def test_rm(hub_cache, golden):
    hub_cache.add("mlx-community/Tiny-4bit")
    golden("rm.jsonl", mlxk("rm", "mlx-community/Tiny-4bit", "--force", "--json"))


def test_clone(hub_cache, golden, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hub_cache.add("mlx-community/Tiny-4bit")
    golden("clone.jsonl", steady(mlxk("clone", "Tiny-4bit", "--json"), tmp_path))


def test_convert(hub_cache, golden, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hub_cache.add("mlx-community/Tiny-4bit", build.sharded(index=False))
    lines = mlxk("convert", "Tiny-4bit", "./indexed", "--repair-index", "--json")
    golden("convert.jsonl", steady(lines, tmp_path))


def test_push(hub_server, golden, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub_server.token)
    for name, data in build.model().items():
        build.replace(tmp_path / name, data)
    line = mlxk("push", str(tmp_path), "you/tiny", "--private", "--create", "--json")[0]
    url = line["data"]["commit_url"]
    line["data"] |= {
        "commit_url": url.replace(hub_server.url, "https://huggingface.co"),
        "hf_logs": [],
    }
    golden(
        "push.jsonl", [json.loads(json.dumps(line).replace(line["data"]["commit_sha"], "c" * 40))]
    )


def steady(lines, folder):
    """The same on every machine: its folder, and whether its disk can share blocks."""
    for line in lines:
        data = line["data"]
        data["target_dir"] = data["target_dir"].replace(str(folder), "/home/you")
        if "method" in data:
            data["method"], data["copied_bytes"] = "clonefile", 0
    return lines


def _order(line):
    """Files come in any order; the sums depend on the speed of the machine."""
    return ("status" in line, line.get("file") is not None, line.get("file") or "")
