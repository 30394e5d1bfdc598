"""The directory of a running KAZOO: its CouchDB has the accounts, the secrets and the keys of tokens."""
