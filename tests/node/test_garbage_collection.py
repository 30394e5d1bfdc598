from __future__ import annotations

import subprocess
import sys

#: In its own process: what is exempt stays exempt.
_SCRIPT = """
import gc
from kazoo_bridge.node.garbage_collection import exempt_loaded

def known(objects):
    ids = {id(one) for one in gc.get_objects()}
    return [id(one) in ids for one in objects]

before = [[]]
try:
    with exempt_loaded():
        loaded = [[]]
        print(gc.isenabled())
        raise ValueError
except ValueError:
    pass
later = [[]]
print(known(before), known(loaded), known(later), gc.isenabled(), gc.get_threshold())
with exempt_loaded():
    pass
print(known(later))
"""


def test_what_is_loaded_is_not_looked_at_again() -> None:
    ran = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == [
        "False",
        "[False] [False] [True] True (10000, 50, 100)",
        "[False]",
    ]
