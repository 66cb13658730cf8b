"""The user's own name for commits, from their git configuration. Used only when work is landed."""

from dulwich.config import StackedConfig


def user_identity(config: StackedConfig | None = None) -> str | None:
    """`Name <email>` from a repository's configuration, else the user's; None when not set."""
    config = config or StackedConfig.default()
    try:
        name, email = config.get((b"user",), b"name"), config.get((b"user",), b"email")
    except KeyError:
        return None
    return f"{name.decode(errors='replace')} <{email.decode(errors='replace')}>"
