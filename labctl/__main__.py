"""``python -m labctl``."""

from labctl.cli.main import run

run()
