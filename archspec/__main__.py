"""`python -m archspec` is the command `archspec`."""

import sys

from archspec.cli import main

if __name__ == "__main__":
    sys.exit(main())
