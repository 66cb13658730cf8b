#!/usr/bin/env bash
# The tests on every Python we promise, then the wheel in an empty environment.
set -euo pipefail
cd "$(dirname "$0")"
uv build --wheel --out-dir dist --quiet
for version in ${PYTHONS:-3.11 3.12 3.13}; do
  echo "== Python $version"
  uv run --isolated --no-project --python "$version" --with "dist/$(ls -t dist | head -1)[cpu,dev]" pytest -q "$@"
  uv run --isolated --no-project --python "$version" --with "dist/$(ls -t dist | head -1)" \
    bash -c 'cd / && mlxk list --json > "$0" && mlxk schema list > "$0.schema" && python -c "
import json, jsonschema, sys
jsonschema.Draft202012Validator(json.load(open(sys.argv[1] + \".schema\"))).validate(json.load(open(sys.argv[1])))
print(\"mlxk list --json obeys its schema\")" "$0"' "$(mktemp)"
done
