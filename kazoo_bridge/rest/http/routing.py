"""Routes: a decorator names the method and the path of a handler, and a Klein application serves it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from klein import Klein
from werkzeug.routing import Map, Rule, RuleFactory

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


class _MatchingRule(Rule):
    """A rule that matches paths, and builds none: compiling the functions for that is most of its cost."""

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        return _build_no_path


def _build_no_path(*_arguments: Any, **_values: Any) -> tuple[str, str]:
    raise NotImplementedError("paths are matched only")


class _MatchingMap(Map):
    """A map of such rules, from rules that have a path, methods and an endpoint only."""

    def add(self, rulefactory: RuleFactory) -> None:
        for rule in rulefactory.get_rules(self):
            super().add(_MatchingRule(rule.rule, methods=rule.methods, endpoint=rule.endpoint))


class _Routes(Klein):
    """Klein, but handlers of different resources may have the same name, and it is made much faster."""

    def __init__(self) -> None:
        super().__init__()
        self._url_map = _MatchingMap()

    def route(self, url: str, *arguments: Any, **options: Any) -> Callable[[Any], Any]:
        options.setdefault("endpoint", f"{' '.join(options.get('methods', ()))} {url}")
        return super().route(url, *arguments, **options)

    def execute_endpoint(self, endpoint: str, request: Any, *arguments: Any, **options: Any) -> Any:
        """Note the route in the request, then call its handler."""
        request.route = endpoint
        return super().execute_endpoint(endpoint, request, *arguments, **options)


def make_app(resources: Iterable[Resource]) -> Klein:
    """Return an application that serves these resources."""
    app = _Routes()
    for resource in resources:
        resource.route(app)
    return app
