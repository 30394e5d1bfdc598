"""KAZOO's own hook documents as the hooks: ``webhooks.source = "couchdb"``.

`CouchHookSource` is what the node starts. `CouchHookStore` reads and writes the documents, `HookExtrasStore`
keeps what CouchDB cannot hold, and `AttemptCopier` writes attempts into the monthly databases of accounts.
"""
