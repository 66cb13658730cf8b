"""CPU and memory of list, show, health and rm over cached models, beside mlx-knife; --verify too.

Each command is a process of its own, rounds interleaved, medians. Prints one JSON document.
`python benchmarks/hub_models.py --knife VENV/bin/mlxk [--models 300] [--rounds 5] [--layers 4]`
VENV is a virtual environment with mlx-knife==2.0.8 from PyPI; without it ours is measured alone.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import orjson

sys.path.append(str(Path(__file__).parent.parent / "tests_2.0" / "support"))

import hub_cache as build

Sample = dict[str, float]


def measure(argv: list[str], env: dict[str, str]) -> Sample:
    """CPU seconds with all children, wall seconds, and the peak of resident memory in MiB."""
    start = time.perf_counter()
    with subprocess.Popen(
        argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as child:
        assert child.stdout is not None
        child.stdout.read()
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    scale = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return {
        "cpu_s": used.ru_utime + used.ru_stime,
        "wall_s": time.perf_counter() - start,
        "rss_mib": used.ru_maxrss / scale,
    }


def medians(samples: list[Sample]) -> Sample:
    return {k: round(statistics.median(s[k] for s in samples), 4) for k in samples[0]}


def fill(root: Path, count: int, layers: int) -> None:
    files = build.sharded(2, num_hidden_layers=layers)
    files |= {"README.md": b"---\nlibrary_name: mlx\ntags:\n- mlx\n---\n", ".gitattributes": b"x"}
    cache = build.HubCache(root / "hub")
    for number in range(count):
        cache.add(f"mlx-community/Model-{number:03}-4bit", files)


def compare(programs: dict[str, str], args: argparse.Namespace, home: Path) -> dict[str, object]:
    env = {**os.environ, "HF_HOME": str(home), "HOME": str(home), "HF_HUB_OFFLINE": "1"}
    env.pop("MLXK_WORKSPACE_HOME", None)
    env.pop("MLXK_HOME", None)
    lines = {
        "list": ["list", "--json"],
        "health": ["health", "--json"],
        "show": ["show", "mlx-community/Model-001-4bit", "--json"],
    }
    samples: dict[tuple[str, str], list[Sample]] = {}
    for _ in range(args.rounds):
        # Ours remembers what it found out: once without that, then as it goes on.
        shutil.rmtree(home / ".mlxk", ignore_errors=True)
        for command in ("list", "health"):
            first = measure([programs["mlxk"], *lines[command]], env)
            samples.setdefault((command, "mlxk, first time"), []).append(first)
        for command, line in lines.items():
            for name, program in programs.items():
                samples.setdefault((command, name), []).append(measure([program, *line], env))
    for number in range(min(args.rounds, args.models)):
        model = f"mlx-community/Model-{number:03}-4bit"
        argv = [programs["mlxk"], "rm", model, "--force", "--json"]
        samples.setdefault(("rm", "mlxk"), []).append(measure(argv, env))
    result: dict[str, object] = {}
    for command in (*lines, "rm"):
        found = {n: medians(taken) for (c, n), taken in samples.items() if c == command}
        ratio = found["mlxk"]["cpu_s"] / found["knife"]["cpu_s"] if "knife" in found else None
        result[command] = {**found, "cpu_ratio": ratio and round(ratio, 3)}
    return result


def verify(program: str, rounds: int, mebibytes: int) -> dict[str, object]:
    """`health --verify` beside sha256sum over the same files with as many workers."""
    workers = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        cache = build.HubCache(home / "hub")
        for number in range(2 * workers):
            files = build.model(vocab_size=max(32, mebibytes * (1 << 15) // (2 * workers)))
            cache.add(f"org/m{number}", {**files, "number.txt": str(number).encode()})
        blobs = [str(p) for p in cache.root.glob("*/blobs/*")]
        size = sum(Path(b).stat().st_size for b in blobs)
        env = {**os.environ, "HF_HOME": str(home), "HOME": str(home)}
        script = f'printf "%s\\0" "$@" | xargs -0 -n1 -P{workers} sha256sum'
        pairs = []
        for _ in range(rounds):
            theirs = measure(["sh", "-c", script, "sh", *blobs], env)["wall_s"]
            idle = measure([program, "health", "--json"], env)["wall_s"]
            ours = measure([program, "health", "--verify", "--json"], env)["wall_s"]
            pairs.append((theirs, ours, ours - idle))
    theirs, ours, hashing = (statistics.median(column) for column in zip(*pairs, strict=True))
    return {
        "bytes": size,
        "workers": workers,
        "sha256sum_s": round(theirs, 3),
        "verify_s": round(ours, 3),
        "speed_of_sha256sum": round(theirs / ours, 3),
        "speed_of_sha256sum_without_start": round(theirs / hashing, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--knife")
    parser.add_argument("--models", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--mebibytes", type=int, default=2000)
    args = parser.parse_args()
    beside = Path(sys.executable).parent / "mlxk"
    ours = str(beside) if beside.exists() else shutil.which("mlxk") or "mlxk"
    programs = {"mlxk": ours, **({"knife": args.knife} if args.knife else {})}
    with tempfile.TemporaryDirectory() as name:
        fill(Path(name), args.models, args.layers)
        commands = compare(programs, args, Path(name))
    answer = {
        "models": args.models,
        "tensors_per_model": len(build.shapes({**build.CONFIG, "num_hidden_layers": args.layers})),
        "rounds": args.rounds,
        "commands": commands,
        "verify": verify(ours, min(3, args.rounds), args.mebibytes),
    }
    print(orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode())


if __name__ == "__main__":
    main()
