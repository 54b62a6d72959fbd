"""``python -m gxevent``."""

from gxevent.cli import main

main()
