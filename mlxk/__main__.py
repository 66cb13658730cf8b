"""`python -m mlxk` is `mlxk`."""

from mlxk.cli.main import main

if __name__ == "__main__":
    main()
