"""The agent on a terminal: a full screen (textual), and plain lines. No logic of its own.

What can be done is `commands.COMMANDS`, one table for both; what is done is `mlxk.agent.desk`.
"""
