from tests.storage.conftest import storage_uri
from tests.storage.fixtures import account_store, clock, database, number_store, token_store

__all__ = ["account_store", "clock", "database", "number_store", "storage_uri", "token_store"]
