"""Writes the folder that mlx-lm loads."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from training.tiny_agent.model import EPSILON, THETA, LanguageModel
from training.tiny_agent.render import END, SEPARATOR, START, TEMPLATE


def export(model: LanguageModel, tokenizer: Tokenizer, folder: Path, longest: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        f"model.{k}": v.detach().to("cpu", torch.bfloat16).contiguous()
        for k, v in model.state_dict().items()
    }
    save_file(weights, str(folder / "model.safetensors"), metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text(TEMPLATE.read_text())
    begin, end = tokenizer.token_to_id(SEPARATOR), tokenizer.token_to_id(END)
    write_json(folder / "config.json", _config(model, begin, end, longest))
    write_json(
        folder / "generation_config.json",
        {
            "bos_token_id": begin,
            "eos_token_id": [end, begin],
            "pad_token_id": begin,
            "do_sample": False,
        },
    )
    write_json(folder / "tokenizer_config.json", _tokenizer_config(longest))


def load_weights(model: LanguageModel, folder: Path) -> None:
    saved = load_file(str(folder / "model.safetensors"))
    model.load_state_dict({k.removeprefix("model."): v.float() for k, v in saved.items()})


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def _config(model: LanguageModel, begin: int, end: int, longest: int) -> dict[str, Any]:
    shape = model.shape
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "intermediate_size": shape.hidden,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "head_dim": shape.head_width,
        "rms_norm_eps": EPSILON,
        "vocab_size": model.vocabulary,
        "max_position_embeddings": longest,
        "rope_theta": THETA,
        "tie_word_embeddings": True,
        "attention_bias": False,
        "hidden_act": "silu",
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "bos_token_id": begin,
        "eos_token_id": end,
        "pad_token_id": begin,
    }


def _tokenizer_config(longest: int) -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": None,
        "eos_token": END,
        "pad_token": SEPARATOR,
        "add_bos_token": False,
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": longest,
        "additional_special_tokens": [START, END],
    }
