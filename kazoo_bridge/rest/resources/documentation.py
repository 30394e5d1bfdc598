"""``/docs/``: the documentation, and the page that shows the OpenAPI document."""

from __future__ import annotations

from attrs import frozen

from kazoo_bridge.console.files import INDEX, PageFiles
from kazoo_bridge.rest.http.request_context import RequestWithContext
from kazoo_bridge.rest.http.routing import RoutedResource, route
from kazoo_bridge.rest.http.static_files import NO_HTML_FROM_TEXT, OWN_FILES_ONLY, write_static_file

PATH = "/docs"
API_PATH = f"{PATH}/api"

#: The search reads the pages that it finds, and its form leads to the page of results.
DOCUMENTATION_POLICY = "; ".join((*OWN_FILES_ONLY, "form-action 'self'", "connect-src 'self'"))

_API_POLICY = "; ".join((*OWN_FILES_ONLY, *NO_HTML_FROM_TEXT, "form-action 'none'", "connect-src 'self'"))


@frozen
class DocumentationResource(RoutedResource):
    """Serves `pages`, the documentation, and `api`, a page that shows ``/openapi.json``, to any client."""

    pages: PageFiles
    api: PageFiles

    @route("GET", PATH)
    async def start(self, request: RequestWithContext) -> bytes:
        """Answer with the first page of the documentation."""
        return _folder(request, self.pages, "docs/", DOCUMENTATION_POLICY)

    @route("GET", f"{PATH}/<path:name>")
    async def page(self, request: RequestWithContext, name: str) -> bytes:
        """Answer with one of the files of the documentation."""
        return write_static_file(request.context, self.pages, name, DOCUMENTATION_POLICY)

    @route("GET", API_PATH)
    async def api_page(self, request: RequestWithContext) -> bytes:
        """Answer with the page that shows the OpenAPI document."""
        return _folder(request, self.api, "api/", _API_POLICY)

    @route("GET", f"{API_PATH}/<path:name>")
    async def api_file(self, request: RequestWithContext, name: str) -> bytes:
        """Answer with one of the files of that page."""
        return write_static_file(request.context, self.api, name, _API_POLICY)


def _folder(request: RequestWithContext, files: PageFiles, location: str, policy: str) -> bytes:
    """Answer with the index of a folder, or lead to it from the path without a slash at its end.

    Links in the pages are relative, so that a proxy can serve them below any path.
    """
    web_request = request.context.request
    if web_request.path.endswith(b"/"):
        return write_static_file(request.context, files, INDEX, policy)
    web_request.redirect(location.encode())
    return b""
