"""The conversation model: requests in, events out. Knows no wire format and no engine."""
