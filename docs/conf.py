import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent / "_extensions"), str(Path(__file__).parents[1])]

project = "kazoo_bridge"
author = "kazoo_bridge developers"
copyright = "2026, kazoo_bridge developers"
extensions = ["myst_parser", "sphinx.ext.autodoc", "zope_interface"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
html_theme = "alabaster"
html_theme_options = {"description": "KAZOO's events to webhooks and websockets"}
