"""What a rule is made of; see ``inspection.rules``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.onnxgraph.nodes import text
from onnx_triangulate.records.inspection import Diagnostic, Severity


@dataclass(frozen=True)
class Occurrence:
    """One finding of a rule: whom it is about, and the sentence; ``severity`` where it is not the rule's own."""

    nodes: tuple[str, ...]
    message: str
    severity: Severity | None = None


@dataclass(frozen=True)
class Rule:
    """One thing that is worth a remark.

    ``code`` is three letters and three digits (``PAD001``), ``name`` its reading (``asymmetric-padding``).
    ``find(view)`` finds; its docstring is the rule's documentation: what is meant, why it matters, what to do.
    ``fires`` and ``quiet`` are its proofs, graphs in ONNX's text syntax: tests and documentation are made of them.
    """

    code: str
    name: str
    severity: Severity
    find: Callable[[ModelView], Iterable[Occurrence]]
    fires: tuple[str, ...]
    quiet: tuple[str, ...]

    @property
    def about(self) -> str:
        """The documentation as one paragraph."""
        return " ".join((self.find.__doc__ or "").split())

    def diagnose(self, view: ModelView) -> tuple[Diagnostic, ...]:
        found = list(self.find(view))
        return tuple(
            Diagnostic(self.code, f.severity or self.severity, tuple(text(n) for n in f.nodes), text(f.message))
            for f in found
        )
