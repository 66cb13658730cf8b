"""The agent in a browser: a static page, and the desk behind it over HTTP on the loopback."""
