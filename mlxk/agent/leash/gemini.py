"""Gemini CLI as the agent: headless, a short prompt, four tools."""

import orjson

from mlxk.agent.leash.recipe import MODEL, Launch, Recipe, Setup

_SYSTEM = """You are a coding agent in a folder of your own. Work with your tools until the
task is done. Then say in one or two sentences what you did.
"""
_TOOLS = ["run_shell_command", "read_file", "write_file", "replace"]


def _launch(setup: Setup) -> Launch:
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "tools": {"core": _TOOLS},
        "general": {"disableAutoUpdate": True, "disableUpdateNag": True},
        "privacy": {"usageStatisticsEnabled": False},
        "telemetry": {"enabled": False},
    }
    system = setup.folder / "system.md"
    system.write_text(_SYSTEM)
    (setup.folder / ".gemini").mkdir(exist_ok=True)
    (setup.folder / ".gemini" / "settings.json").write_bytes(orjson.dumps(settings))
    argv = ["-o", "json", "--approval-mode", "yolo"]
    env = {
        "GOOGLE_GEMINI_BASE_URL": setup.server.url,
        "GEMINI_API_KEY": setup.server.token,
        "GEMINI_MODEL": MODEL,
        "GEMINI_SYSTEM_MD": str(system),
        "GEMINI_CLI_HOME": str(setup.folder),
        "GEMINI_CLI_TRUST_WORKSPACE": "true",
    }
    return Launch([*argv, *(["--resume", "latest"] if setup.goes_on else [])], env)


def _failure(output: str) -> str | None:
    try:
        said = orjson.loads(output[output.index("{") : output.rindex("}") + 1])
    except (ValueError, orjson.JSONDecodeError):
        return None
    error = said.get("error") if isinstance(said, dict) else None
    return str(error.get("message")) if isinstance(error, dict) else None


GEMINI = Recipe("gemini", "npm install -g @google/gemini-cli", 2_400, _launch, _failure)
