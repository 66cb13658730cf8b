"""From a folder to a runner: the model through mlx-lm, never from the network, never its code."""

from pathlib import Path
from typing import Any

from mlx_lm.utils import load_model

from mlxk.engine.batch import BatchRunner
from mlxk.engine.protocol import Load


def load_runner(load: Load) -> tuple[BatchRunner, int, int]:
    """The runner, the width of its logits, and the bytes one more token costs."""
    model, config = load_model(Path(load.folder), trust_remote_code=False)
    runner = BatchRunner(model, rows=load.rows, step_tokens=load.step_tokens)
    return runner, vocabulary_of(config), 0


def vocabulary_of(config: dict[str, Any]) -> int:
    text = config.get("text_config") or {}
    return int(config.get("vocab_size") or text.get("vocab_size") or 0)
