"""What survives a restart: tables, migrations, and one store per aggregate.

`database.Database` runs blocking work in its own threads; `tables` lists the tables; every other module is
one store or one service on them. A store's module-level functions take a `sqlalchemy.Connection` and run
inside the caller's transaction; its class wraps them for the reactor. The command line uses the functions,
the node uses the classes.
"""
