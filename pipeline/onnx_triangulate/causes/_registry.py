"""What a cause is made of; see ``causes``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import onnx.parser
from onnx import ModelProto

from onnx_triangulate.onnxgraph.nodes import printable
from onnx_triangulate.records.errors import UnusableInput
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Diff, Failure, Model, Run
from onnx_triangulate.records.verdict import Blame, Evidence, Finding

Load = Callable[[str], ModelProto | None]
Suspect = Callable[[Evidence, Blame, Load], Finding | None]


_HEAD = '<ir_version: 8, opset_import: ["" : 18]>'


@dataclass(frozen=True)
class Example:
    """A situation in which a cause is suspected, or must not be: what is blamed, and the graphs as ONNX text, which may
    leave out its head (then of opset 18) and the graph's name."""

    about: str
    blamed: Blame
    graphs: Mapping[str, str] = field(default_factory=dict)
    edges: tuple[Diff, ...] = ()
    blames: tuple[Blame, ...] = ()
    errors: Mapping[str, Failure] = field(default_factory=dict)
    message: str = ""
    training: bool = False

    def evidence(self) -> Evidence:
        """The situation as the records a run would have left."""
        graphs = sorted({*self.graphs, *self.errors})
        return Evidence(
            case="example/example",
            runs={
                f"{g}>reference": Run(
                    Party.parse(f"{g}>reference"), None if g in self.errors else {}, self.errors.get(g)
                )
                for g in graphs
            },
            models={g: Model(g, Path(f"{g}.onnx") if g in self.graphs else None, self.errors.get(g)) for g in graphs},
            graphs={},
            edges=self.edges,
            groups=(),
            blames=(*self.blames, self.blamed),
            training=self.training,
        )

    def load(self, graph: str) -> ModelProto | None:
        """The example's graph of that name."""
        if graph not in self.graphs:
            return None
        written = self.graphs[graph]
        return onnx.parser.parse_model(written if written.lstrip().startswith("<") else f"{_HEAD} g {written}")


@dataclass(frozen=True)
class Cause:
    """A mechanism with a name, and when to suspect it.

    ``suspect(evidence, blamed, load)`` looks at one blame; ``load(GRAPH)`` gives an exported graph (``"torch:raw"``) or
    ``None``.  ``fires`` and ``quiet`` are its proofs: tests are generated from them, here and for users' own causes.
    """

    name: str
    about: str
    suspect: Suspect
    fires: tuple[Example, ...]
    quiet: tuple[Example, ...]

    def finding(self, blamed: Blame, nodes: Iterable[str], message: str, edit: str) -> Finding:
        """What ``suspect`` returns about a blame."""
        return Finding(self.name, blamed.blame, blamed.party, tuple(nodes), message, edit=edit)


def party_of(name: str) -> Party | None:
    """The party of a name, where it is one's (``torch>*`` is not)."""
    try:
        return Party.parse(name)
    except UnusableInput:
        return None


def graph_of(blamed: Blame) -> str | None:
    """The exported graph that a blame is about: its party's, or the one on its edge."""
    parties = [party_of(name) for name in (blamed.party, *reversed(blamed.edge))]
    exported = (party.graph for party in parties if party is not None and (party.runtime or party.exporter))
    return next(exported, None if parties[0] is None else parties[0].graph)


def model_of(blamed: Blame, load: Load, *blames: str) -> ModelProto | None:
    """The exported graph that a blame is about, where the blame is one of ``blames``."""
    graph = graph_of(blamed)
    return load(graph) if blamed.blame in blames and graph is not None else None


def listed(names: Iterable[str], most: int) -> str:
    """Names of nodes or values side by side, the first ``most`` of them."""
    shown = [printable(name) for name in names]
    return ", ".join(shown[:most]) + (", …" if len(shown) > most else "")


def edge_of(evidence: Evidence, blamed: Blame) -> Diff | None:
    """The edge that a blame was read from."""
    wanted = set(blamed.edge)
    return next((d for d in evidence.edges if {d.left, d.right} == wanted), None)


def first_graph(load: Load, names: tuple[str, ...]) -> tuple[str, ModelProto] | None:
    """The first of several graphs that there is."""
    for name in names:
        model = load(name)
        if model is not None:
            return name, model
    return None
