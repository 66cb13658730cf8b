"""The tools an agent has, one file each. The order is the order in which models see them."""

from mlxk.agent.tools import bash, edit, find, grep, ls, read, write
from mlxk.agent.tools.base import AgentTool

BUILTIN: dict[str, AgentTool] = {
    tool.spec.name: tool
    for tool in (read.TOOL, write.TOOL, edit.TOOL, bash.TOOL, grep.TOOL, find.TOOL, ls.TOOL)
}
