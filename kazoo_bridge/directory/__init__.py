"""Accounts, tokens, API keys and phone numbers: who a client is, and what it may do.

Each kind of `IDirectory` is a module.
"""
