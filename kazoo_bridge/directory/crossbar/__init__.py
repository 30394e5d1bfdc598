"""The directory that asks KAZOO's REST (crossbar), for operators who do not give access to CouchDB."""

from kazoo_bridge.directory.crossbar.directory import CrossbarDirectory

__all__ = ["CrossbarDirectory"]
