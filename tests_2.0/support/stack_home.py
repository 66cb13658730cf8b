"""A home with deployments of the stub server, and a host with short limits."""

import os
import sys
from pathlib import Path

import orjson

from mlxk.deploy import apply, local, plan, record, settings, status
from mlxk.deploy.local import Host, Limits
from mlxk.deploy.store import Store

STUB = str(Path(__file__).parent / "stub_service.py")
CHAT = str(Path(__file__).parent / "chat_service.py")
SHORT = Limits(first_s=0.05, cap_s=0.1, grace_s=0.4, look_s=0.3)


class StackHome:
    """Every process that a test starts is ended with it."""

    def __init__(self, home):
        self.home = home
        self.store = Store(home)
        self.ahead = 0.0
        self.host = Host(self.store, os.environ, SHORT, now=self.now)
        self.modes = home / "modes"
        self.modes.mkdir(parents=True)

    def now(self):
        import time

        return time.time() + self.ahead

    def add(self, name, mode="good", **fields):
        self.mode(name, mode)
        command = [sys.executable, STUB, "by-file", "${PORT}", str(self.modes / name)]
        value = {
            "name": name,
            "model": "stub",
            "engine": {"command": command},
            "probe": {"ready": "/health", "timeout_s": 10, **fields.pop("probe", {})},
            **fields,
        }
        self.store.save(value)
        return self.store.load(name)

    def chats(self, name, mode="good", **fields):
        """One that answers questions."""
        self.mode(name, mode)
        command = [sys.executable, CHAT, "${PORT}", str(self.modes / name)]
        value = {"name": name, "model": f"org/{name}", "engine": {"command": command}}
        self.store.save(value | {"probe": {"ready": "/health"}} | fields)

    def stack(self, *names, **fields):
        """The active stack, with a gateway on any port unless `fields` says more."""
        value = {"name": "mine", "deployments": list(names), "gateway": {"port": "auto"}, **fields}
        self.store.save_stack({key: given for key, given in value.items() if given is not None})
        settings.save(self.home, settings.with_stack(self.store.settings(), "mine"))

    def mode(self, name, mode):
        (self.modes / name).write_text(mode)

    def up(self, *names, wait=True, **wish):
        targets = tuple(apply.target(self.store, name) for name in names)
        steps = plan.up(targets, apply.observe(self.store, names), plan.Wish(True, **wish))
        return self.drained(apply.up(self.host, steps, targets, apply.Options(wait=wait)))

    def down(self, *names):
        steps = plan.down(names, apply.observe(self.store, names))
        return self.drained(apply.down(self.host, steps, apply.Options()))

    def record(self, name):
        return record.read(self.home, name)

    def row(self, name):
        found = status.status(self.store, (name,), os.environ, self.now())
        return found.services[0]

    def events(self):
        path = self.home / "logs" / "events.ndjson"
        return [orjson.loads(line)["event"] for line in path.read_bytes().splitlines()]

    def close(self):
        for name in record.names(self.home):
            local.stop(self.host, self.record(name))
        for child in self.host.children.values():
            child.kill()
            child.wait(timeout=5)

    def drained(self, steps):
        try:
            while True:
                next(steps)
        except StopIteration as end:
            return {result.name: result for result in end.value}
