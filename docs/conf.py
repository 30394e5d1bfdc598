import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent / "_extensions"), str(Path(__file__).parents[1])]

from kazoo_bridge import __version__  # noqa: E402

project = "kazoo_bridge"
author = "kazoo_bridge developers"
copyright = "2026, kazoo_bridge developers"
release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "zope_interface"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "_theme"]
myst_heading_anchors = 3
# A reference to what the pages do not have is a mistake, apart from names of other projects in signatures.
nitpicky = True
nitpick_ignore_regex = [
    ("py:class", r"collections\.abc\..*|Deferred|Failure|EventHandler|.*\._\w+|<InterfaceClass .*>"),
]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
html_theme = "kazoo_bridge"
html_theme_path = ["_theme"]
# The pages are served by the node itself, which serves what they need, and no more.
html_copy_source = False
html_permalinks_icon = "#"
# Their tables have inline styles, which the node's policy forbids. The search finds the same.
html_use_index = False
html_domain_indices = False
