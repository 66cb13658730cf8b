"""Codex as the agent: `codex exec`, a provider of our own, a short prompt."""

from mlxk.agent.leash.recipe import MODEL, Launch, Recipe, Setup, objects

_INSTRUCTIONS = """You are a coding agent in a folder of your own. Work with your tools until the
task is done; change files with exec_command. Then say in one or two sentences what you did.
"""
_OFF = ("multi_agent", "goals")
_KEY = "MLXK_LEASH"


def _launch(setup: Setup) -> Launch:
    instructions = setup.folder / "instructions.md"
    instructions.write_text(_INSTRUCTIONS)
    base = f'base_url="{setup.server.url}/v1"'
    provider = f'{{name="mlxk",{base},wire_api="responses",env_key="{_KEY}"}}'
    settings = [
        'model_provider="mlxk"',
        f"model_providers.mlxk={provider}",
        'web_search="disabled"',
        "skills.bundled.enabled=false",
        f'model_instructions_file="{instructions}"',
        *([f"model_context_window={setup.context}"] if setup.context else []),
    ]
    argv = ["exec", *(["resume", "--last"] if setup.goes_on else [])]
    # Our own confinement holds it: its sandbox does not work inside of one.
    argv += ["--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]
    argv += ["-m", MODEL, *(word for name in _OFF for word in ("--disable", name))]
    argv += [word for setting in settings for word in ("-c", setting)]
    env = {"CODEX_HOME": str(setup.folder), _KEY: setup.server.token}
    return Launch([*argv, "-"], env)


def _failure(output: str) -> str | None:
    failed = None
    for said in objects(output):
        match said:
            case {"type": "turn.failed", "error": {"message": message}}:
                failed = str(message)
            case {"type": "turn.completed"}:
                failed = None
    return failed


CODEX = Recipe("codex", "npm install -g @openai/codex", 1_500, _launch, _failure)
