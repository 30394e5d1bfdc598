"""Sessions: authentication, authorization, resumption."""
