"""KAZOO's databases: documents, pages, attachments, and the changes of a database, over HTTP.

`CouchClient` asks, `ChangesFollower` follows. Neither knows what a document means.
"""
