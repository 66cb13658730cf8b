"""Everything the model says besides tool calls."""

ABOUT = (
    "I am the tiny demo model built into mlxk. "
    "Inside `mlxk agent` I can create, read, edit, list and search files and run commands."
)
HELLO = f"Hello! {ABOUT}"
THANKS = "You are welcome."
BYE = "Goodbye."
REFUSAL = (
    "I am the tiny demo model built into mlxk: "
    "I can create, read, edit, list and search files and run commands, but not that."
)
NO_TOOLS = (
    "I am the tiny demo model built into mlxk: I have no tools here. "
    "Inside `mlxk agent` I can create, read, edit, list and search files and run commands, "
    "but nothing else."
)
MISSING_TOOL = "I do not have the tool for that here."
QUESTIONS = {
    "write": "Please give me a file name and the text.",
    "add": "Please give me a file name and the text to add.",
    "read": "Which file?",
    "replace": "Please tell me the file, the old text and the new text.",
    "run": "Which command?",
    "search": "What should I search for?",
}
