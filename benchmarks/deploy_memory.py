"""The memory estimate against what MLX holds at full context, for three small models.

Prints one JSON document. `ratio` is estimate by held memory: below 1 would promise too little.
"""

import argparse
import json
import tempfile
from importlib import import_module
from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_flatten, tree_map
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.utils import load_model

from mlxk.advise.memory import Cache, estimate
from mlxk.hub import inspect, reading

COMMON = {
    "hidden_size": 512,
    "intermediate_size": 1024,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 64,
    "rms_norm_eps": 1e-6,
    "vocab_size": 2048,
    "max_position_embeddings": 1024,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
}
MODELS = {
    "qwen3": {},
    "llama": {"num_key_value_heads": 8},
    "gemma3_text": {"sliding_window": 1024, "sliding_window_pattern": 2},
}


def write(folder: Path, family: str, more: dict) -> Path:
    """A folder with random bfloat16 weights."""
    folder.mkdir()
    config = {**COMMON, **more, "model_type": family}
    (folder / "config.json").write_text(json.dumps(config))
    module = import_module(f"mlx_lm.models.{family}")
    model = module.Model(module.ModelArgs.from_dict(config))
    weights = tree_map(lambda w: w.astype(mx.bfloat16), model.parameters())
    mx.save_safetensors(str(folder / "model.safetensors"), dict(tree_flatten(weights)))
    return folder


def measure(folder: Path) -> dict:
    read = reading.read(folder)
    about = inspect.metadata(read)
    size = sum(f.size for f in read.contents.files if f.name.endswith(".safetensors"))
    tokens = about.context_length
    cached = Cache(about.num_layers, about.num_key_value_heads, about.head_dim, tokens)
    said = estimate(size, cached).total_gb
    mx.clear_cache()
    before = mx.get_active_memory()
    model, _ = load_model(folder)
    cache = make_prompt_cache(model)
    for begin in range(0, tokens, 256):
        step = mx.zeros((1, min(256, tokens - begin)), dtype=mx.int32)
        mx.eval(model(step, cache=cache), [layer.state for layer in cache])
    held = (mx.get_active_memory() - before) / 1e9
    return {"estimate_gb": said, "held_gb": round(held, 4), "ratio": round(said / held, 3)}


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    rows = {}
    with tempfile.TemporaryDirectory() as root:
        for family, more in MODELS.items():
            rows[family] = measure(write(Path(root) / family, family, more))
    print(json.dumps({"benchmark": "deploy_memory", "models": rows}))


if __name__ == "__main__":
    main()
