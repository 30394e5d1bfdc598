"""Finds event categories: built in, installed with pip, or a file in a folder.

A category is a module-level object that provides `twisted.plugin.IPlugin` and
`kazoo_bridge.interfaces.IEventCategory`. Another package ships one as ``kazoo_bridge/plugins/NAME.py``
(without an ``__init__.py``); an operator puts one into the folder that the setting ``plugins.path`` names.
"""

from twisted.plugin import pluginPackagePaths

__path__.extend(pluginPackagePaths(__name__))
__all__: list[str] = []
