"""Static files over HTTP: caching, compression, and the headers that bound what a page may do."""

from __future__ import annotations

import re

from twisted.web.iweb import IRequest

from kazoo_bridge.console.files import PageFiles
from kazoo_bridge.rest.http.errors import bad_identifier
from kazoo_bridge.rest.http.etags import is_not_modified
from kazoo_bridge.rest.http.request_context import RequestContext

#: A year, for files whose path has their revision.
_PERMANENT = "public, max-age=31536000, immutable"

_NO_QUALITY = re.compile(r"q=0(?:\.0{0,3})?")

#: What every page may do: use files of its own host.
OWN_FILES_ONLY = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "font-src 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
)

#: No text becomes HTML or script.
NO_HTML_FROM_TEXT = ("require-trusted-types-for 'script'", "trusted-types 'none'")


def write_static_file(context: RequestContext, files: PageFiles, name: str, policy: str) -> bytes:
    """Return one of the files as the body of the answer, compressed if the client accepts that.

    `name` is its path within the page; without such a file the answer is 404. `policy` is the
    Content-Security-Policy.
    """
    file, is_permanent = files.find(name)
    if file is None:
        return context.write_error(bad_identifier(context.path))
    request = context.request
    set_page_headers(request, file.content_type, _PERMANENT if is_permanent else "no-cache", policy)
    content, tag = file.content, file.revision
    if file.gzip is not None:
        request.setHeader("Vary", "Accept-Encoding")
        if _accepts_gzip(request):
            request.setHeader("Content-Encoding", "gzip")
            content, tag = file.gzip, f"{file.revision}-gzip"
    request.setHeader("ETag", f'"{tag}"')
    if is_not_modified(request, tag):
        request.setResponseCode(304)
        return b""
    request.setHeader("Content-Length", str(len(content)))
    return content


def set_page_headers(request: IRequest, content_type: str, cache_control: str, policy: str) -> None:
    """Set the headers of an answer that a page, or a part of it, is made of."""
    for name, value in {
        "Content-Type": content_type,
        "Cache-Control": cache_control,
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }.items():
        request.setHeader(name, value)


def _accepts_gzip(request: IRequest) -> bool:
    """Return whether the client accepts gzip: it names it, or anything, with a quality above 0."""
    qualities = {}
    for item in (request.getHeader("Accept-Encoding") or "").lower().split(","):
        coding, *parameters = (part.strip() for part in item.split(";"))
        qualities[coding] = not any(_NO_QUALITY.fullmatch(parameter) for parameter in parameters)
    return qualities.get("gzip", qualities.get("*", False))
