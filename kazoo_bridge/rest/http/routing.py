"""Routes: a decorator names the method and the path of a handler, and a Klein application serves it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from klein import Klein

_ROUTE = "_rest_route"

H = TypeVar("H", bound=Callable[..., Any])


def route(method: str, path: str) -> Callable[[H], H]:
    """Mark a resource's method as the handler of an HTTP method on a path, in Klein's syntax (``/x/<id>``).

    HEAD is served where GET is. The handler gets the request, and the parts of the path as keywords.
    """

    def mark(handler: H) -> H:
        setattr(handler, _ROUTE, (method, path))
        return handler

    return mark


class Resource(Protocol):
    """An object with handlers for some paths."""

    def route(self, app: Klein) -> None:
        """Add the handlers to `app`."""


class RoutedResource:
    """A resource whose handlers are the methods that `route` has marked."""

    __slots__ = ()

    def route(self, app: Klein) -> None:
        """Add the handlers to `app`."""
        for name, handler in vars(type(self)).items():
            if (marked := getattr(handler, _ROUTE, None)) is not None:
                method, path = marked
                app.route(path, methods=[method])(getattr(self, name))


class _Routes(Klein):
    """Klein, but handlers of different resources may have the same name."""

    def route(self, url: str, *arguments: Any, **options: Any) -> Callable[[Any], Any]:
        options.setdefault("endpoint", f"{' '.join(options.get('methods', ()))} {url}")
        return super().route(url, *arguments, **options)


def make_app(resources: Iterable[Resource]) -> Klein:
    """Return an application that serves these resources."""
    app = _Routes()
    for resource in resources:
        resource.route(app)
    return app
