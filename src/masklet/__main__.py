"""`python -m masklet` is the `masklet` command."""

import sys

from masklet.cli import main

if __name__ == "__main__":
    sys.exit(main())
