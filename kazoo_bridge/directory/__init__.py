"""Who is who and who may do what: accounts, tokens, API keys. Each module is one kind of `IDirectory`."""
