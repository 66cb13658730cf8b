"""Colours and the style sheet."""

from textual.theme import Theme

DARK = Theme(
    name="mlxk-dark",
    primary="#7cacf8",
    secondary="#b39df3",
    accent="#e5c07b",
    warning="#e5c07b",
    error="#f07178",
    success="#8fce8b",
    foreground="#d7dae0",
    background="#14161b",
    surface="#1b1e25",
    panel="#252a34",
    dark=True,
)
LIGHT = Theme(
    name="mlxk-light",
    primary="#1f5fbf",
    secondary="#6b46b8",
    accent="#8a5a00",
    warning="#8a5a00",
    error="#b3261e",
    success="#1f7a34",
    foreground="#1d2026",
    background="#fbfbfa",
    surface="#f1f1ee",
    panel="#e4e4df",
    dark=False,
)

CSS = """
Screen { background: $background; }
#tabs { height: 1; background: $surface; padding: 0 1; text-wrap: nowrap; }
#views { height: 1fr; }
Conversation {
    padding: 1 2 0 2;
    scrollbar-size-vertical: 1;
    scrollbar-background: $background;
    scrollbar-color: $panel;
}
Conversation > * { height: auto; width: 1fr; margin: 0 0 1 0; }
Conversation > .answer { margin: 0; }
.prompt { background: $surface; border-left: outer $primary; padding: 0 2; color: $foreground; }
.prompt.-queued { border-left: outer $panel; color: $text-muted; }
.answer { padding: 0; background: $background; }
Answer Markdown, Markdown { background: $background; padding: 0; margin: 0; }
MarkdownFence { background: $surface; margin: 0 0 1 0; }
MarkdownFence > Label { padding: 0 2; }
MarkdownBulletList, MarkdownOrderedList { margin: 0 0 1 0; padding: 0; }
MarkdownList MarkdownListItem { margin: 0; }
MarkdownListItem MarkdownParagraph { margin: 0; }
Fold { height: auto; }
Fold .head { color: $text-muted; height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
Fold .head:hover { background: $surface; }
Fold .body {
    border-left: solid $foreground 20%;
    padding: 0 1;
    margin: 0 0 0 1;
    color: $text-muted;
}
Fold .body.-empty { display: none; }
.step { color: $text-muted; }
.notice { color: $text-muted; }
.notice.-warning { color: $text-warning; }
.notice.-error { color: $text-error; border-left: outer $error; padding: 0 2; }
Question { border: round $accent; padding: 0 1; }
#welcome { color: $text-muted; }
#candidates { color: $text-muted; background: $surface; padding: 0 2; height: auto; max-height: 6; }
#candidates.-empty { display: none; }
Editor {
    height: auto;
    min-width: 8;
    max-height: 10;
    border: none;
    border-top: solid $panel;
    padding: 0 1;
    background: $background;
}
Editor:focus { border: none; border-top: solid $primary 60%; }
#status { height: 1; background: $surface; padding: 0 1; text-wrap: nowrap; }
Pager { background: $background; }
Pager .title { height: 1; background: $surface; color: $primary; padding: 0 1; text-style: bold; }
Pager .foot { height: 1; background: $surface; color: $text-muted; padding: 0 1; }
Pager VerticalScroll {
    padding: 0 1;
    scrollbar-size-vertical: 1;
    scrollbar-background: $background;
    scrollbar-color: $panel;
}
Confirm { align: center middle; background: $background 60%; }
Confirm > Static {
    width: 60;
    max-width: 100%;
    height: auto;
    padding: 1 2;
    border: round $accent;
    background: $surface;
}
.-narrow Conversation { padding: 0 1 0 0; }
"""
