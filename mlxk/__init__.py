"""mlxk: run language models on your own hardware and put them to work in automation."""

__version__ = "0.1.0"
