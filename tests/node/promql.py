"""Evaluates the part of PromQL that the alerting rules use, on series with a value a minute.

`promtool test rules` is the reference; unlike it, `increase` and `rate` do not extrapolate.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

#: The labels of a series, without its name.
Labels = frozenset[tuple[str, str]]
Vector = dict[Labels, float]

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>\d+(?:\.\d+)?)(?![\w.])|(?P<name>[a-zA-Z_][\w:]*)|(?P<text>"[^"]*")"""
    r"""|(?P<range>\[\d+[mh]\])|(?P<symbol>=~|!=|==|>=|<=|[-+*/(){},=<>]))"""
)
_SERIES = re.compile(r"(\w+)(?:\{(.*)\})?")
_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
}
_MATCHERS: Mapping[str, Callable[[str, str], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "=~": lambda value, pattern: re.fullmatch(pattern, value) is not None,
}
_OVER_TIME: Mapping[str, Callable[[Sequence[float]], float]] = {
    "increase": lambda values: values[-1] - values[0],
    "rate": lambda values: (values[-1] - values[0]) / (60 * (len(values) - 1)),
    "min_over_time": min,
}
_AGGREGATIONS: Mapping[str, Callable[[list[float]], float]] = {"sum": sum, "max": max, "min": min}


class Series:
    """Series in promtool's notation: ``{"series": 'name{label="value"}', "values": "0+1x120 7x10"}``."""

    def __init__(self, given: Sequence[Mapping[str, str]]) -> None:
        self._series: list[tuple[str, Labels, list[float]]] = []
        for one in given:
            match = _SERIES.fullmatch(one["series"])
            assert match is not None, one
            labels = frozenset(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
            self._series.append((match[1], labels, _expand(one["values"])))

    def fires(self, expression: str, minute: int, since: int = 0) -> bool:
        """Return whether `expression` has had a result for `since` minutes at the end of `minute`."""
        return all(self.evaluate(expression, now) for now in range(minute - since, minute + 1))

    def evaluate(self, expression: str, minute: int) -> Vector:
        """Return the result of an expression. Raises ValueError for what is not supported."""
        result = _Evaluation(self, expression, minute).run()
        if not isinstance(result, dict):
            raise ValueError(f"{expression} is no vector")
        return result

    def select(self, name: str, matchers: Sequence[tuple[str, str, str]]) -> list[tuple[Labels, list[float]]]:
        """Return the series of a name that match."""
        return [
            (labels, values)
            for known, labels, values in self._series
            if known == name
            and all(_MATCHERS[how](dict(labels).get(label, ""), text) for label, how, text in matchers)
        ]


class _Evaluation:
    """One evaluation: a parser by recursive descent that computes at once."""

    def __init__(self, series: Series, expression: str, minute: int) -> None:
        self._series = series
        self._minute = minute
        self._tokens = _tokenize(expression)
        self._next = 0

    def run(self) -> Any:
        result = self._or()
        if self._next != len(self._tokens):
            raise ValueError(f"not understood: {self._tokens[self._next :]}")
        return result

    def _accept(self, *texts: str) -> str:
        if self._next < len(self._tokens) and self._tokens[self._next] in texts:
            self._next += 1
            return self._tokens[self._next - 1]
        return ""

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            raise ValueError(f"expected {text} before {self._tokens[self._next :]}")

    def _take(self) -> str:
        self._next += 1
        return self._tokens[self._next - 1]

    def _or(self) -> Any:
        left = self._and()
        while self._accept("or"):
            left = self._and() | left
        return left

    def _and(self) -> Any:
        left = self._comparison()
        while self._accept("and"):
            on = self._names() if self._accept("on") else None
            right = {_only(labels, on) for labels in self._comparison()}
            left = {labels: value for labels, value in left.items() if _only(labels, on) in right}
        return left

    def _comparison(self) -> Any:
        left = self._product()
        if symbol := self._accept(*_COMPARISONS):
            right, holds = self._product(), _COMPARISONS[symbol]
            bounds = right if isinstance(right, dict) else dict.fromkeys(left, right)
            return {one: value for one, value in left.items() if one in bounds and holds(value, bounds[one])}
        return left

    def _product(self) -> Any:
        left = self._operand()
        while self._accept("*"):
            right = self._operand()
            if isinstance(left, dict):
                left, right = right, left
            if isinstance(right, dict):
                left = {one: left * value for one, value in right.items()}
            else:
                left *= right
        return left

    def _operand(self) -> Any:
        token = self._take()
        if token == "(":
            inner = self._or()
            self._expect(")")
            return inner
        if re.fullmatch(r"[\d.]+", token):
            return float(token)
        if token in _AGGREGATIONS:
            return self._aggregate(_AGGREGATIONS[token])
        if token in (*_OVER_TIME, "absent", "histogram_quantile"):
            return self._call(token)
        return {labels: values[self._minute] for labels, values in self._selected(token)}

    def _aggregate(self, combine: Callable[[list[float]], float]) -> Vector:
        self._expect("by")
        by, groups = self._names(), dict[Labels, list[float]]()
        for labels, value in self._operand().items():
            groups.setdefault(_only(labels, by), []).append(value)
        return {labels: combine(values) for labels, values in groups.items()}

    def _call(self, function: str) -> Vector:
        self._expect("(")
        if function == "absent":
            result: Vector = {} if self._or() else {frozenset(): 1.0}
        elif function == "histogram_quantile":
            quantile = float(self._take())
            self._expect(",")
            result = _quantiles(quantile, self._or())
        else:
            selected = self._selected(self._take())
            window = self._take()
            minutes = int(window[1:-2]) * {"m": 1, "h": 60}[window[-2]]
            begin = max(0, self._minute - minutes)
            result = {
                labels: _OVER_TIME[function](values[begin : self._minute + 1]) for labels, values in selected
            }
        self._expect(")")
        return result

    def _selected(self, name: str) -> list[tuple[Labels, list[float]]]:
        matchers = []
        if self._accept("{"):
            while not self._accept("}"):
                matchers.append((self._take(), self._take(), self._take().strip('"')))
                self._accept(",")
        return self._series.select(name, matchers)

    def _names(self) -> frozenset[str]:
        self._expect("(")
        names = set()
        while not self._accept(")"):
            names.add(self._take())
            self._accept(",")
        return frozenset(names)


def _tokenize(expression: str) -> list[str]:
    tokens, position = [], 0
    while position < len(expression):
        match = _TOKEN.match(expression, position)
        if match is None:
            raise ValueError(f"not understood: {expression[position:]}")
        tokens.append(match[0].strip())
        position = match.end()
    return tokens


def _only(labels: Labels, names: frozenset[str] | None) -> Labels:
    return labels if names is None else frozenset(one for one in labels if one[0] in names)


def _quantiles(quantile: float, buckets: Vector) -> Vector:
    histograms: dict[Labels, list[tuple[float, float]]] = {}
    for labels, count in buckets.items():
        end = float(dict(labels)["le"].replace("+Inf", "inf"))
        others = frozenset(one for one in labels if one[0] != "le")
        histograms.setdefault(others, []).append((end, count))
    return {labels: _quantile(quantile, sorted(one)) for labels, one in histograms.items()}


def _quantile(quantile: float, buckets: list[tuple[float, float]]) -> float:
    rank, before, begin = quantile * buckets[-1][1], 0.0, 0.0
    for end, count in buckets:
        if count >= rank and count > before:
            if end == float("inf"):
                return begin
            return begin + (end - begin) * (rank - before) / (count - before)
        before, begin = count, end
    return float("nan")


def _expand(notation: str) -> list[float]:
    values: list[float] = []
    for part in notation.split():
        match = re.fullmatch(r"(\d+)(?:\+(\d+))?x(\d+)", part)
        assert match is not None, part
        values += [float(match[1]) + number * float(match[2] or 0) for number in range(int(match[3]) + 1)]
    return values
