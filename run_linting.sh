#!/usr/bin/env bash
# Every rule that a tool can hold. Any failure stops; the exit code is the verdict.
set -euo pipefail
cd "$(dirname "$0")"
ruff format --check .
ruff check .
mypy
pyright
lint-imports
python docs/generate.py --check
python docs/picture.py --check
