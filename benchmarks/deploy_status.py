"""What looking at twenty deployments costs: `status --json`, and a supervisor with nothing to do.

Prints one JSON document. The servers are threads of this process that answer /health at once.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median

from mlxk.deploy import record
from mlxk.deploy.store import Store
from mlxk.system import process

COUNT = 20
ROUNDS = 7
WATCHED_S = 30
MLXK = [sys.executable, "-m", "mlxk"]


class Ready(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"phase": "ready"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


def found(home: Path) -> None:
    """Documents, and records that take this process for the server of each."""
    store = Store(home)
    for number in range(COUNT):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Ready)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port, name = server.server_address[1], f"d{number}"
        engine = {"command": ["server"]}
        store.save({"name": name, "model": "m", "engine": engine, "server": {"port": port}})
        digest = store.load(name).digest
        known = record.Record(name, "running", port=port, ready_at=1.0, config_digest=digest)
        record.write(home, replace(known.of(process.identity()), started_at=time.time()))


def status() -> tuple[float, float]:
    """(wall, CPU) seconds of one `mlxk status --json`."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([*MLXK, "status", "--json"], check=True, capture_output=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert json.loads(done.stdout)["data"]["summary"]["healthy"] == COUNT
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def watch() -> dict[str, float]:
    """Share of one core and resident memory of an idle supervisor. Linux only."""
    with subprocess.Popen([*MLXK, "watch"], stderr=subprocess.DEVNULL) as child:
        time.sleep(5)
        began = _ticks(child.pid)
        time.sleep(WATCHED_S)
        used = (_ticks(child.pid) - began) / os.sysconf("SC_CLK_TCK")
        pages = int(Path(f"/proc/{child.pid}/statm").read_text().split()[1])
        child.terminate()
    mib = pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
    return {"cpu_percent": round(100 * used / WATCHED_S, 2), "resident_mib": round(mib, 1)}


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MLXK_HOME"] = folder
        found(Path(folder))
        walls, cpus = zip(*(status() for _ in range(ROUNDS)), strict=True)
        result = {
            "benchmark": "deploy_status",
            "deployments": COUNT,
            "status_wall_s": round(median(walls), 3),
            "status_cpu_s": round(median(cpus), 3),
            "supervisor": watch(),
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
