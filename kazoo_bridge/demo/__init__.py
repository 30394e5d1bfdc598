"""The bridge with everything around it simulated: a switchboard that makes calls, and a web server that receives hooks."""

from __future__ import annotations

from kazoo_bridge.demo.options import DemoOptions


def run(config_path: str | None = None, options: DemoOptions | None = None) -> None:
    """Run the demonstration until it is interrupted."""
    from kazoo_bridge.demo.runner import main

    main(config_path, options or DemoOptions())
