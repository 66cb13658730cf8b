"""Tools and the choice among them as OpenAI's chat format writes them, both directions."""

from typing import Any

from mlxk.chat.types import Tool, ToolChoice
from mlxk.wire.reading import shallow


def decode_tool(tool: dict[str, Any], at: str) -> Tool:
    function = tool["function"]
    parameters = shallow(function.get("parameters") or {}, f"{at}/function/parameters")
    return Tool(function["name"], function.get("description") or "", parameters)


def decode_tool_choice(choice: Any) -> ToolChoice:
    match choice:
        case {"function": {"name": str(name)}}:
            return ToolChoice("named", name)
        case "none" | "required" as mode:
            return ToolChoice(mode)
        case _:
            return ToolChoice()


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
