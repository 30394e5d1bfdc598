"""What a server of forks imports before it forks nodes. Only that server imports this module.

Importing the node's modules costs more of the processor than all else that a node does in most tests.
"""

import sys
from importlib import import_module

import twisted.internet

# Klein imports the reactor, which forks must not share: each installs its own when it starts.
vars(twisted.internet)["reactor"] = None

for _name in (
    "pytest",  # the main module of the tests, which each fork imports
    "twisted.scripts.twistd",
    "twisted.plugins",
    "kazoo_bridge.node.tap",
    "kazoo_bridge.node.node",
    "kazoo_bridge.categories",
    "tests.integration.forked_twistd",
):
    import_module(_name)

del vars(twisted.internet)["reactor"]
if "twisted.internet.reactor" in sys.modules:
    raise RuntimeError("something has installed a reactor, which all forks would share")
