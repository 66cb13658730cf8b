"""Which model fits this machine: profile, catalog, score, fit. Starts no process."""
