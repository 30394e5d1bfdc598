"""kazoo_bridge: carries KAZOO's events to webhooks and websockets, and commands back."""

__version__ = "0.1.0"
