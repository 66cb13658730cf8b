"""Documents in the words of others: a command line, LiteLLM's configuration. Writes nothing."""

import shlex
from typing import Any

from mlxk.deploy.document import Deployment
from mlxk.deploy.engines import Launch
from mlxk.deploy.stack import Stack
from mlxk.system.network import reachable, url


def command_line(launch: Launch) -> str:
    """Secrets are names here, never values."""
    env = [f"{name}={shlex.quote(value)}" for name, value in launch.env]
    keys = [f'{name}="${name}"' for name in launch.keys]
    return " ".join([*env, *keys, shlex.join(launch.argv)])


def litellm(deployments: tuple[Deployment, ...], stack: Stack | None) -> dict[str, Any]:
    """What LiteLLM's proxy reads: routes are model names, fallbacks are router settings."""
    routes = {name: route for route, name in stack.routes} if stack else {}
    models = [_row(d, routes.get(d.name, d.name)) for d in deployments]
    names = [str(row["model_name"]) for row in models]
    chain = [name for name in (stack.fallbacks if stack else ()) if name in names]
    fallbacks = [{a: list(chain[i + 1 :])} for i, a in enumerate(chain[:-1])]
    settings = {"router_settings": {"fallbacks": fallbacks}} if fallbacks else {}
    return {"model_list": models, **settings}


def _row(deployment: Deployment, route: str) -> dict[str, Any]:
    there = url(reachable(deployment.server.host), deployment.server.port or 0)
    key = deployment.api_key_env
    return {
        "model_name": route,
        "litellm_params": {
            "model": f"openai/{deployment.server.model_id or deployment.model}",
            "api_base": f"{there}/v1",
            "api_key": f"os.environ/{key}" if key else "none",
        },
    }
