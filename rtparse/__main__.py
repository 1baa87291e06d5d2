"""`python -m rtparse` is the `rtparse` command."""

from rtparse.cli import main

main()
