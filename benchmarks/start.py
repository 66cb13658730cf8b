"""What a start costs: `mlxk --version`, importing the command line, an agent from cold to answer.

Prints one JSON document. CPU seconds are user + system of the whole process tree; baseline of
each ratio is a bare interpreter (`python -c pass`) in the same rounds.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROUNDS = 7
MLXK = str(Path(sys.executable).with_name("mlxk"))
ASK = "Create a file hello.txt containing Hello world"
COMMANDS = {
    "bare interpreter": [sys.executable, "-c", "pass"],
    "import of the command line": [sys.executable, "-c", "import mlxk.cli.main, mlxk.cli.invoke"],
    "mlxk --version": [MLXK, "--version"],
    "mlxk version --json": [MLXK, "version", "--json"],
    "mlxk agent --json (embedded model, cold)": [MLXK, "agent", "--json", ASK],
}


def measure(argv: list[str], cwd: str, env: dict[str, str]) -> tuple[float, float]:
    """(CPU seconds, wall seconds) of one run."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(argv, cwd=cwd, env=env, check=True, capture_output=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "init", "-q", folder], check=True)
        env = {**os.environ, "MLXK_HOME": f"{folder}/.home"}
        runs: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
        for _ in range(ROUNDS):
            for name, argv in COMMANDS.items():
                runs[name].append(measure(argv, folder, env))
    bare = median(cpu for cpu, _ in runs["bare interpreter"])
    rows = {
        name: {
            "cpu_s": round(median(cpu for cpu, _ in values), 3),
            "wall_s": round(median(wall for _, wall in values), 3),
            "cpu_over_bare": round(median(cpu for cpu, _ in values) / bare, 1),
        }
        for name, values in runs.items()
    }
    print(json.dumps({"rounds": ROUNDS, "python": sys.version.split()[0], "runs": rows}, indent=2))


if __name__ == "__main__":
    main()
