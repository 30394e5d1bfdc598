"""The bridge with everything around it simulated: a switchboard that makes calls, and a web server that receives hooks."""

from __future__ import annotations


def run(config_path: str | None = None) -> None:
    """Run the demonstration until it is interrupted."""
    from kazoo_bridge.demo.show import main

    main(config_path)
