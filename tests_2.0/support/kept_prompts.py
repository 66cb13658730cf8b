"""A runner's kept prompts: asked in this process, or in each of two ranks that mlx.launch starts.

As a program, `kept_prompts.py MODEL ARCHIVE`, every rank goes through the same story; rank 1 alone
meets the damage. Each prints what it heard.
"""

import random
import sys
import time
from pathlib import Path

import orjson

from mlxk.engine.policy import Policy
from mlxk.engine.protocol import Job, Load
from mlxk.engine.shard import ALONE, Shard
from mlxk.engine.weights import load_runner

PROMPT = [random.Random(3).randrange(3, 259) for _ in range(300)]


def start(folder, archive, limit=1 << 30, kv_bits=None, shard=ALONE, kept=1 << 24):
    """A new runner over the archive, as after a restart."""
    load = Load(str(folder), 8, 64, None, kv_bits, kept, str(archive), limit)
    return load_runner(load, shard).runner


def said_and_cached(runner, prompt=PROMPT, count=8):
    runner.add(Job(1, tuple(prompt), (), count, (), Policy(temperature=1.0, seed=5)))
    steps = []
    while not (steps and steps[-1].ended):
        steps += runner.step()
    return [step.token for step in steps], steps[0].cached


def settle(runner):
    """Let the thread that writes finish."""
    while runner.tidy():
        pass
    while any(not future.done() for future, _ in runner._prefixes._archive._writing):
        time.sleep(0.01)


def files(archive):
    return sorted(Path(archive).rglob("*.kv"))


def cut(path):
    path.write_bytes(path.read_bytes()[:-5])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def empty(path):
    path.write_bytes(b"")


def foreign(path):
    path.write_bytes(b"not a cache" * 100)


DAMAGES = [cut, flip, empty, foreign]


def story(folder, archive, shard):
    """What a runner says and how much it need not read, for each time that it is begun anew."""
    heard = []

    def tell(is_drowsy=False):
        runner = start(folder, archive, shard=shard)
        if is_drowsy:
            drowsy(runner)
        heard.append(said_and_cached(runner, count=4))
        settle(runner)
        return runner._prefixes._archive._segments._folder

    own = tell()
    tell()
    if shard.rank:
        (end_of_prompt,) = own.glob("*-299-?.kv")
        end_of_prompt.unlink()
    tell()
    if shard.rank:
        flip(max(own.glob("*.kv"), key=lambda path: path.stat().st_size))
    tell()
    for slow in (0, 1):
        tell(is_drowsy=shard.rank == slow)
    if shard.rank:
        for path in own.glob("*.kv"):
            path.unlink()
    tell()
    return heard


def drowsy(runner):
    """Its disk takes its time."""
    read = runner._prefixes._archive._segments.read
    runner._prefixes._archive._segments.read = lambda piece: (time.sleep(0.1), read(piece))[1]


if __name__ == "__main__":
    import mlx.core as mx

    shard = Shard(mx.distributed.init(strict=True, backend="ring"))
    told = story(sys.argv[1], sys.argv[2], shard)
    print(orjson.dumps([shard.rank, told]).decode(), flush=True)
