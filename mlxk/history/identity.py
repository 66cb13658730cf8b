"""The user's own name for commits, from their git configuration. Used only when work is landed."""

from dulwich.config import StackedConfig


def user_identity() -> str | None:
    """`Name <email>` from git's global and system configuration, or None when it is not set."""
    config = StackedConfig.default()
    try:
        name, email = config.get((b"user",), b"name"), config.get((b"user",), b"email")
    except KeyError:
        return None
    return f"{name.decode(errors='replace')} <{email.decode(errors='replace')}>"
