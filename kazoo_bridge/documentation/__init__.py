"""The documentation as pages, and a page that shows the OpenAPI document.

`api` is a static page of plain ES modules, without a build step. `pages` is what ``make docs`` builds from
the folder ``docs``; a checkout has it only afterwards, the wheel and the Debian package always have it. All
pages load nothing from other hosts.
"""
