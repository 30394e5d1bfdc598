"""The directory of a running KAZOO: its CouchDB has the accounts, the secrets and the keys of tokens."""

from kazoo_bridge.directory.couchdb.directory import CouchDirectory

__all__ = ["CouchDirectory"]
