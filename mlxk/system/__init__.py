"""The operating system: paths, files, processes, clock, hardware. Knows no models."""
