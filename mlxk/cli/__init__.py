"""The process boundary and the only composition root."""
