"""Exceptions: what a command tells its user in one line, and what an engine or a check says of a graph."""

from __future__ import annotations


class UnusableInput(Exception):
    """The command's words or its input cannot be used: one line saying who, what was seen, expected, what to do."""


class MissingEngine(Exception):
    """A required engine is not installed."""


class BrokenCheck(Exception):
    """A check gives a wrong answer where the right one is known: a bug of this tool, and nothing it says counts."""


class RefusedGraph(Exception):
    """A checker or a runtime refuses a graph; ``op`` and ``node`` say where, if that is known."""

    def __init__(self, message: str, op: str | None = None, node: str | None = None) -> None:
        super().__init__(message)
        self.op = op
        self.node = node


class Unsupported(RefusedGraph):
    """A runtime does not implement an operator of a graph that is valid."""


class InvalidGraph(RefusedGraph):
    """A graph is not a valid model, as the checker or a runtime sees it when loading it."""


def one_line(error: BaseException) -> str:
    """What an error says in one line, cut where it is longer than 300 characters."""
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else text[:300] + " …"
