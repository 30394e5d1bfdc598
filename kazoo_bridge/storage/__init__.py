"""What survives a restart: tables, migrations, one small store per aggregate.

`database.Database` runs blocking work in threads of its own; ``tables`` says what there is; every other module is one store.
A store's module-level functions take a `sqlalchemy.Connection` and run inside somebody's transaction; its class wraps
them for the reactor. The command line uses the functions, the service the classes.
"""
