"""From a document to a command line, for our engine and for others. Starts nothing."""

import string
from dataclasses import dataclass

from mlxk.contract.notes import Note
from mlxk.deploy.document import Deployment
from mlxk.system.network import is_loopback

# What each engine can do with a document; the rest is warned of, never dropped in silence.
_PARAMETERS: dict[str, frozenset[str]] = {
    "mlxk": frozenset(),
    "mlx-lm": frozenset(("temp", "top_p", "top_k", "min_p", "max_tokens")),
    "mlx-vlm": frozenset(),
    "vllm-mlx": frozenset(("temp", "top_p", "max_tokens")),
    "command": frozenset(),
}
_SERVER: dict[str, frozenset[str]] = {
    "mlxk": frozenset(("host", "port", "model_id", "decode_concurrency", "draft")),
    "mlx-lm": frozenset(
        ("host", "port", "trust_remote_code", "prompt_cache_size", "prompt_cache_bytes",
         "chat_template_args", "decode_concurrency", "log_level")
    ),
    "mlx-vlm": frozenset(("host", "port", "trust_remote_code")),
    "vllm-mlx": frozenset(("host", "port", "trust_remote_code")),
    "command": frozenset(("host", "port")),
}  # fmt: skip
_KV_CACHE = frozenset(("mlxk", "mlx-vlm", "vllm-mlx"))
_OPTIONS = {"temp": "--temp", "top_p": "--top-p", "top_k": "--top-k", "min_p": "--min-p"}


@dataclass(frozen=True, slots=True)
class Launch:
    """`env` are fixed values; `keys` names variables of ours that are passed on."""

    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    keys: tuple[str, ...]


def launch(deployment: Deployment, model: str, port: int, python: str) -> Launch:
    """`python` runs our own modules; a document's command is taken as it is."""
    keys = (deployment.api_key_env,) if deployment.api_key_env else ()
    keys = (*keys, *deployment.engine.keys)
    own = (("MLXK_PORT", str(port)),)
    match deployment.engine.name:
        case "mlxk":
            argv = [python, "-m", "mlxk", "serve", "--deployment", deployment.name]
            return Launch(tuple(argv), own, keys)
        case "mlx-lm":
            argv = [python, "-m", "mlx_lm", "server", *_mlx_lm(deployment, model, port)]
        case "mlx-vlm":
            argv = [python, "-m", "mlx_vlm.server", "--model", model, *_address(deployment, port)]
            argv += ["--trust-remote-code"] if deployment.server.trust_remote_code else []
            argv += _cache(deployment)
        case "vllm-mlx":
            argv = ["vllm-mlx", "serve", model, *_address(deployment, port)]
            argv += _cache(deployment)
        case _:
            words = {"PORT": str(port), "MODEL": model, "HOST": deployment.server.host}
            words["PYTHON"] = python
            filled = (string.Template(w).safe_substitute(words) for w in deployment.engine.command)
            return Launch(tuple(filled), (*own, *deployment.engine.env), keys)
    return Launch(tuple(argv), own, keys)


def warnings(deployment: Deployment) -> tuple[Note, ...]:
    """What is accepted, but risky or without effect."""
    engine, server = deployment.engine.name, deployment.server
    found = [
        Note(
            "unsupported_parameter",
            f"{engine} does not take {key} as a default",
            f"/parameters/{key}",
        )
        for key in deployment.parameters
        if key not in _PARAMETERS[engine]
    ]
    found += [
        Note("unknown_server_key", f"nothing knows the key {key}", f"/server/{key}")
        for key in server.extra
    ]
    found += [
        Note("unsupported_server_key", f"{engine} does not use {key}", f"/server/{key}")
        for key in _given(deployment)
        if key not in _SERVER[engine]
    ]
    if deployment.kv_cache and engine not in _KV_CACHE:
        found.append(Note("unsupported_kv_cache", f"{engine} does not use kv_cache", "/kv_cache"))
    if not is_loopback(server.host) and deployment.api_key_env is None:
        message = f"anyone who reaches {server.host} may use {deployment.name}: set auth"
        found.append(Note("insecure_bind", message, "/server/host"))
    return tuple(found)


def _given(deployment: Deployment) -> list[str]:
    server = deployment.server
    given = {
        "model_id": server.model_id is not None,
        "trust_remote_code": server.trust_remote_code,
        "prompt_cache_size": server.prompt_cache_size is not None,
        "prompt_cache_bytes": server.prompt_cache_bytes is not None,
        "chat_template_args": bool(server.chat_template_args),
        "decode_concurrency": server.decode_concurrency is not None,
        "draft": server.draft is not None,
        "log_level": server.log_level is not None,
    }
    return [key for key, is_given in given.items() if is_given]


def _address(deployment: Deployment, port: int) -> list[str]:
    return ["--host", deployment.server.host, "--port", str(port)]


def _mlx_lm(deployment: Deployment, model: str, port: int) -> list[str]:
    import json  # noqa: PLC0415 -- this engine only

    server = deployment.server
    argv = ["--model", model, *_address(deployment, port)]
    for key, option in _OPTIONS.items():
        if key in deployment.parameters:
            argv += [option, str(deployment.parameters[key])]
    if "max_tokens" in deployment.parameters:
        argv += ["--max-tokens", str(int(deployment.parameters["max_tokens"]))]
    argv += ["--trust-remote-code"] if server.trust_remote_code else []
    optional = {
        "--prompt-cache-size": server.prompt_cache_size,
        "--prompt-cache-bytes": server.prompt_cache_bytes,
        "--decode-concurrency": server.decode_concurrency,
        "--log-level": server.log_level and server.log_level.upper(),
    }
    for option, value in optional.items():
        argv += [option, str(value)] if value is not None else []
    arguments = dict(server.chat_template_args)
    return [*argv, "--chat-template-args", json.dumps(arguments)] if arguments else argv


def _cache(deployment: Deployment) -> list[str]:
    cache = deployment.kv_cache
    if cache is None or cache.bits is None:
        return []
    if deployment.engine.name == "vllm-mlx":
        return ["--kv-cache-quantization", "--kv-cache-quantization-bits", str(cache.bits)]
    argv = ["--kv-bits", str(cache.bits), "--kv-group-size", str(cache.group_size)]
    return [*argv, "--quantized-kv-start", str(cache.quantized_start)]
