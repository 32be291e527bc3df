"""`python -m archspec` is the command `archspec`."""

from archspec.cli import run

if __name__ == "__main__":
    run()
