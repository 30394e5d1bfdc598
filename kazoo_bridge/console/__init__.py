"""The operator console: a static page of plain ES modules, without a build step.

The page loads nothing from other hosts.
"""
