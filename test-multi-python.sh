#!/usr/bin/env bash
# The tests on every Python we promise, then the wheel in an empty environment. Needs uv.
set -euo pipefail
cd "$(dirname "$0")"
uv build --wheel --out-dir dist --clear --quiet
wheel=$(echo dist/*.whl)
for version in ${PYTHONS:-3.11 3.12 3.13}; do
  # uv does not look into pyenv's folders by itself.
  python=$(ls -d ~/.pyenv/versions/"$version".*/bin/python 2>/dev/null | tail -1 || true)
  echo "== Python $version"
  run=(uv run --isolated --no-project --python "${python:-$version}")
  "${run[@]}" --with "$wheel[cpu,dev]" pytest -q -n auto "$@"
  "${run[@]}" --with "$wheel" bash -c '
    cd / && mlxk list --json >"$0/list.json" && mlxk schema list >"$0/schema.json" && python -c "
import json, jsonschema
jsonschema.Draft202012Validator(json.load(open(\"$0/schema.json\"))).validate(json.load(open(\"$0/list.json\")))
print(\"mlxk list --json obeys its schema\")"' "$(mktemp -d)"
done
