"""The ``kazoo-bridge`` command: works on the storage, whether the node is running or not."""

from kazoo_bridge.cli.command import main

__all__ = ["main"]
