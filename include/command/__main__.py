"""``python -m include.command``: the same as ``rollcall``, where the package is not installed."""

from include.command.main import main

main()
