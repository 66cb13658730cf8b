"""mlx_lm.convert in a process of its own: its memory, its prints and its crashes stay there."""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import mkdtemp
from typing import Literal

import orjson

from mlxk.contract.errors import (
    EngineFailed,
    EngineMissing,
    InvalidValue,
    MlxkError,
    ModelUnhealthy,
    OutOfMemory,
    RuntimeIncompatible,
)
from mlxk.engine import child
from mlxk.hub import health, locks, provenance
from mlxk.hub.contents import scan
from mlxk.hub.describe import Report, describe
from mlxk.hub.inspect import metadata
from mlxk.hub.model import Place
from mlxk.hub.reading import read
from mlxk.system import hardware
from mlxk.system.files import require_utf8, translated

Mode = Literal["affine", "mxfp4", "nvfp4", "mxfp8"]

# What mlx packs: bits and group sizes of each mode.
PACKINGS: dict[Mode, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "affine": ((2, 3, 4, 5, 6, 8), (32, 64, 128)),
    "mxfp4": ((4,), (32,)),
    "nvfp4": ((4,), (16,)),
    "mxfp8": ((8,), (32,)),
}
DTYPES = ("float16", "bfloat16", "float32")
_UNPACKED = 16


@dataclass(frozen=True, slots=True)
class Recipe:
    """`bits` 16 unpacks; None keeps the weights as they are."""

    bits: int | None = None
    group_size: int | None = None
    mode: Mode = "affine"
    dtype: str | None = None


@dataclass(frozen=True, slots=True)
class Converted:
    source: str
    target_dir: str
    bits: int | None
    group_size: int | None
    size_bytes: int
    health: Literal["healthy", "unhealthy"]


def settled(recipe: Recipe) -> Recipe:
    """With defaults filled in; InvalidValue for what mlx cannot pack."""
    bits, sizes = PACKINGS[recipe.mode]
    if recipe.dtype is not None and recipe.dtype not in DTYPES:
        raise InvalidValue(f"--dtype {recipe.dtype} is not one of {', '.join(DTYPES)}")
    if recipe.mode != "affine" and recipe.bits is None:
        recipe = replace(recipe, bits=bits[0])
    if recipe.bits in (None, _UNPACKED):
        if recipe.group_size is not None or recipe.mode != "affine":
            raise InvalidValue("--group-size and --mode need --bits below 16")
        return recipe
    if recipe.bits not in bits:
        raise InvalidValue(f"{recipe.mode} packs {_listed(bits)} bits, not {recipe.bits}")
    if recipe.group_size is None:
        recipe = replace(recipe, group_size=64 if recipe.mode == "affine" else sizes[0])
    if recipe.group_size not in sizes:
        raise InvalidValue(
            f"{recipe.mode} packs groups of {_listed(sizes)}, not {recipe.group_size}"
        )
    return recipe


def convert(place: Place, folder: Path, recipe: Recipe) -> Converted:
    """Write a converted copy; it appears under its name only when it is whole."""
    for path in (place.folder, folder):
        require_utf8(path)
    _require_convertible(describe(place, thorough=True), recipe)
    with translated(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        made = scratch / "model"
        with locks.reading(place.folder):
            _run(place.folder, made, recipe)
        verdict = health.judge(made, name=place.name)
        if not verdict.healthy:
            raise EngineFailed(f"the converted model would not load: {verdict.reason}")
        provenance.write(scan(made), place.name, place.hash)
        with suppress(FileNotFoundError):
            folder.rmdir()
        made.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return summary(place, folder)


def summary(place: Place, folder: Path) -> Converted:
    found = read(folder)
    packed = metadata(found).quantization
    state: Literal["healthy", "unhealthy"] = (
        "healthy" if health.judge(folder, name=place.name).healthy else "unhealthy"
    )
    return Converted(
        place.name,
        str(folder),
        packed.bits if packed else None,
        packed.group_size if packed else None,
        found.contents.size,
        state,
    )


def _listed(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers))


def _require_convertible(report: Report, recipe: Recipe) -> None:
    model = report.model
    if model.health == "unhealthy":
        raise ModelUnhealthy(f"{model.name}: {model.reason}", hint=f"mlxk pull {model.name}")
    if not model.runtime_compatible:
        raise RuntimeIncompatible(f"{model.name}: {model.reason}", hint="pip install -U mlx-lm")
    packed = metadata(report.reading).quantization
    if packed and recipe.bits not in (None, _UNPACKED):
        raise InvalidValue(
            f"{model.name} is packed in {packed.bits} bits already",
            hint="convert the original, or unpack this one first: --bits 16",
        )
    if hardware.backend() is None:
        raise EngineMissing("MLX is not installed", hint=hardware.install_hint())


def _run(source: Path, target: Path, recipe: Recipe) -> None:
    order = orjson.dumps({"source": str(source), "target": str(target), "recipe": recipe})
    argv = [sys.executable, "-P", "-m", "mlxk.engine.convert"]
    with subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=child.environment(on_cpu=hardware.backend() == "cpu"),
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(order)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode:
        raise _failure(process.returncode, out, err)


def _failure(code: int, out: bytes, err: bytes) -> MlxkError:
    if code == -signal.SIGKILL:
        return OutOfMemory("the conversion was killed", hint="it needs more memory than there is")
    lines = (out + b"\n" + err).decode("utf-8", "replace").strip().splitlines()
    reason = lines[-1] if lines else f"exit status {code}"
    return EngineFailed(
        f"mlx_lm could not convert it: {reason}", hint="mlxk health shows the model"
    )


def _main() -> None:
    """The child: mlx_lm prints to stdout, which nobody but `_failure` reads."""
    import mlx.core as mx  # noqa: PLC0415 -- only the child may load MLX
    from mlx_lm.convert import convert as mlx_convert  # noqa: PLC0415

    order = orjson.loads(sys.stdin.buffer.read())
    recipe = Recipe(**order["recipe"])
    if hardware.backend() == "cpu":
        mx.set_default_device(mx.cpu)
    is_packing = recipe.bits is not None and recipe.bits != _UNPACKED
    mlx_convert(
        order["source"],
        order["target"],
        quantize=is_packing,
        q_bits=recipe.bits if is_packing else None,
        q_group_size=recipe.group_size,
        q_mode=recipe.mode,
        dtype=recipe.dtype,
        dequantize=recipe.bits == _UNPACKED,
    )


if __name__ == "__main__":
    _main()
