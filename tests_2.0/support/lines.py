"""Carry out many command lines, each in a process of its own that begins with mlxk loaded."""

import json
import os
import subprocess
import sys
import tempfile


def carried_out(lines):
    """`lines`: (argv, environment, folder); gives (exit code, stdout, stderr) of each."""
    asked = json.dumps([[argv, env, str(folder)] for argv, env, folder in lines])
    argv = [sys.executable, __file__]
    done = subprocess.run(argv, input=asked, stdout=subprocess.PIPE, text=True, check=True)
    return [tuple(row) for row in json.loads(done.stdout)]


def forked(argv, env, folder):
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        if (child := os.fork()) == 0:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            os.environ.update(env)
            os.chdir(folder)
            sys.argv = ["mlxk", *argv]
            main()
        _, status = os.waitpid(child, 0)
        out.seek(0)
        err.seek(0)
        return os.waitstatus_to_exitcode(status), out.read().decode(), err.read().decode()


if __name__ == "__main__":
    from mlxk.cli import nouns
    from mlxk.cli.main import main

    nouns.load_all()
    print(json.dumps([forked(*line) for line in json.load(sys.stdin)]))
