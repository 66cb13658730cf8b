"""Tools and the choice among them as OpenAI's chat format writes them, both directions."""

from typing import Any

from mlxk.chat.types import Tool, ToolChoice
from mlxk.wire.reading import allowed


def decode_tool(tool: dict[str, Any]) -> Tool:
    function = tool["function"]
    description, parameters = function.get("description") or "", function.get("parameters") or {}
    return Tool(function["name"], description, parameters)


def decode_tool_choice(choice: Any) -> ToolChoice:
    match choice:
        case {"function": {"name": str(name)}}:
            return ToolChoice("named", name)
        case {"allowed_tools": {"mode": "required"}}:
            return ToolChoice("required")
        case "none" | "required" as mode:
            return ToolChoice(mode)
        case _:
            return ToolChoice()


def offered(tools: tuple[Tool, ...], choice: Any) -> tuple[Tool, ...]:
    match choice:
        case {"allowed_tools": {"tools": list(names)}}:
            return allowed(tools, (each["function"]["name"] for each in names))
        case _:
            return tools


def encode_tool(tool: Tool) -> dict[str, Any]:
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
    }
    return {"type": "function", "function": function}


def encode_tool_choice(choice: ToolChoice) -> Any:
    if choice.mode == "named":
        return {"type": "function", "function": {"name": choice.name}}
    return choice.mode
