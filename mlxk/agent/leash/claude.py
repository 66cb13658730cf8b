"""Claude Code as the agent: `claude -p --bare` with its three plainest tools."""

from mlxk.agent.leash.recipe import MODEL, Launch, Recipe, Setup, objects

_TOOLS = "Bash,Edit,Read"
_CONTEXT = 200_000
_MOST_OUTPUT = 32_000


def _launch(setup: Setup) -> Launch:
    context = setup.context or _CONTEXT
    argv = ["-p", "--bare", "--output-format", "json", "--model", MODEL]
    argv += ["--tools", _TOOLS, "--allowedTools", _TOOLS, "--permission-mode", "acceptEdits"]
    env = {
        "ANTHROPIC_BASE_URL": setup.server.url,
        "ANTHROPIC_API_KEY": setup.server.token,
        "CLAUDE_CONFIG_DIR": str(setup.folder),
        # With only one of these two it believes in a million tokens, or reserves all for output.
        "CLAUDE_CODE_MAX_CONTEXT_TOKENS": str(context),
        "CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(min(_MOST_OUTPUT, context // 8)),
        "CLAUDE_CODE_ATTRIBUTION_HEADER": "0",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
    }
    return Launch([*argv, *(["--continue"] if setup.goes_on else [])], env)


def _failure(output: str) -> str | None:
    errors = (said for said in objects(output) if said.get("is_error"))
    return next((str(said.get("result") or said.get("subtype")) for said in errors), None)


CLAUDE = Recipe("claude", "npm install -g @anthropic-ai/claude-code", 1_200, _launch, _failure)
