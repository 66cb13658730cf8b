"""Tool calls in the text of an answer: a table of dialects, and arguments typed by the schema."""
