"""Where event categories are found: built in, installed with pip, or a file that ops dropped into a folder.

A category is a module-level object that provides `twisted.plugin.IPlugin` and `kazoo_bridge.interfaces.IEventCategory`.
Other packages ship theirs as ``kazoo_bridge/plugins/NAME.py`` (without an ``__init__.py``); ops put theirs into the folder
that ``plugins.path`` names.
"""

from twisted.plugin import pluginPackagePaths

__path__.extend(pluginPackagePaths(__name__))
__all__: list[str] = []
