"""``python -m kazoo_bridge.cli`` is ``kazoo-bridge``."""

from kazoo_bridge.cli.command import main

main(prog_name="kazoo-bridge")
