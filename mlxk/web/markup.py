"""HTML from values: text is always escaped, only what was made here is markup."""

from dataclasses import dataclass
from html import escape


@dataclass(frozen=True, slots=True)
class Html:
    """Markup that this module made."""

    text: str


Child = Html | str | None


def el(tag: str, *children: Child, **attributes: str | None) -> Html:
    """`el("td.n", "1", dir="ltr")`; a None child or attribute is left out."""
    name, *classes = tag.split(".")
    named = {"class": " ".join(classes) or None, **attributes}
    given = "".join(f' {k}="{escape(v)}"' for k, v in named.items() if v is not None)
    return Html(f"<{name}{given}>{joined(children).text}</{name}>")


def joined(children: "tuple[Child, ...] | list[Html]") -> Html:
    return Html("".join(_shown(child) for child in children if child is not None))


def void(tag: str, **attributes: str) -> Html:
    given = "".join(f' {k.replace("_", "-")}="{escape(v)}"' for k, v in attributes.items())
    return Html(f"<{tag}{given}>")


def _shown(child: Html | str) -> str:
    return child.text if isinstance(child, Html) else escape(child, quote=False)
