"""The records of ``inspect``: what one graph holds, its diagnostics, what differs between two graphs, what is drawn.

Design note.  As everywhere, frozen and free of frameworks and of ONNX; ``facts``, ``diff`` and ``inspection`` make them
and ``report`` shows them.  Names are those of the file, unescaped: whoever shows them makes them harmless.
A node's name is its full one (``outer/inner`` in a subgraph, ``FUNCTION/inner`` in a function).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from onnx_triangulate.records.graphs import Pads, Transpose

Severity = Literal["info", "warning", "error"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "error")


@dataclass(frozen=True)
class Diagnostic:
    """What a rule reports: ``code`` is the rule's, ``nodes`` are the nodes concerned (values where no node is),
    ``message`` is a sentence with what was seen and why it matters."""

    code: str
    severity: Severity
    nodes: tuple[str, ...]
    message: str


@dataclass(frozen=True)
class SizeSummary:
    """The stored numbers of one element type: counts of tensors and elements, bytes; ``external`` bytes of these lie in
    files of external data."""

    dtype: str
    tensors: int
    elements: int
    bytes: int
    external: int = 0


@dataclass(frozen=True)
class NestedGraph:
    """A subgraph or a local function: its path, how many nodes it has and from how many places it is called."""

    path: str
    kind: Literal["subgraph", "function"]
    nodes: int
    calls: int = 1


@dataclass(frozen=True)
class LayoutReshape:
    """A Reshape (or Flatten, Squeeze with Unsqueeze) that merges or moves axes whose order is a layout.

    ``kind``: ``"transposes"`` (it moves axes of size one, as a Transpose by ``perm`` would), ``"scrambles"`` (it merges
    or splits axes of a value that an operator's layout, and no Transpose of the model, put into another order than the
    border has: the classic wrong order of weights, unless the weights were reordered too), ``"permuted"`` (the order is
    another than the border's, but it is a Transpose of the graph that asks for it), ``"keeps"`` (it merges axes in the
    order that the border has).
    """

    node: str
    kind: Literal["transposes", "scrambles", "permuted", "keeps"]
    perm: tuple[int, ...] | None = None
    message: str = ""


@dataclass(frozen=True)
class WeightLayout:
    """How a weight lies in the file: ``layout`` names its axes (``"OIHW"``), ``message`` how that is known."""

    name: str
    node: str
    layout: str
    message: str = ""


@dataclass(frozen=True)
class Inspection:
    """What one graph holds, read without running it.

    ``layouts`` gives a layout (``"NCHW"``, ``"NHWC"`` …) to each value of the main graph that has one.  ``stored`` is
    by type of the numbers, largest first.  ``external`` are the files that external data lie in, as the graph names
    them; they are not opened.  ``notes`` say what could not be looked into; ``failed`` are rules that broke down, a bug
    of this tool: what they would have said nobody knows.
    """

    file: Path | None
    producer: str
    ir_version: int
    opsets: Mapping[str, int]
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    ops: Mapping[str, int]
    initializers: int = 0
    parameters: int = 0
    stored: tuple[SizeSummary, ...] = ()
    external: tuple[str, ...] = ()
    inner: tuple[NestedGraph, ...] = ()
    pads: tuple[Pads, ...] = ()
    layouts: Mapping[str, str] = field(default_factory=dict)
    transposes: tuple[Transpose, ...] = ()
    reshapes: tuple[LayoutReshape, ...] = ()
    weights: tuple[WeightLayout, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    notes: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()

    @property
    def opset(self) -> int | None:
        """The version of ONNX's own operator set."""
        return self.opsets.get("")


@dataclass(frozen=True)
class Difference:
    """One difference between two graphs of one model.

    ``kind`` is ``"pads"``, ``"layout"``, ``"attribute"``, ``"operator"``, ``"weights"``, ``"type"``, ``"border"`` or
    ``"only"`` (nothing on the other side does this); ``what`` names the attribute; ``left`` and ``right`` are what
    either side has, as text, at ``left_nodes`` and ``right_nodes``; ``harmless``: it changes no number (an axis written
    as -1).
    """

    kind: str
    what: str
    left_nodes: tuple[str, ...]
    right_nodes: tuple[str, ...]
    left: str
    right: str
    message: str = ""
    harmless: bool = False


@dataclass(frozen=True)
class Differences:
    """Two graphs side by side: how many nodes of either stand beside one of the other, and what differs, pads and
    layout first.  ``only_left`` and ``only_right`` are the nodes without a counterpart; ``at_one_size``: one leaves
    sizes of inputs open, and was compared at those of the other."""

    left: Inspection
    right: Inspection
    matched: int
    differences: tuple[Difference, ...] = ()
    only_left: tuple[str, ...] = ()
    only_right: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    at_one_size: bool = False


@dataclass(frozen=True)
class Box:
    """A node, an input or an output of a drawing; ``lines`` are its small print (pads, kernel); ``layout`` colours it;
    ``severity`` is that of its worst diagnostic, ``diagnostics`` are their codes and messages; ``focused``: the drawing
    was asked for around it."""

    key: str
    kind: Literal["node", "input", "output", "more"]
    title: str
    name: str = ""
    lines: tuple[str, ...] = ()
    layout: str = ""
    severity: Severity | None = None
    diagnostics: tuple[str, ...] = ()  # code and sentence
    focused: bool = False


@dataclass(frozen=True)
class Arrow:
    """A value that flows from one box to another, with its type (``label``), its layout and its name."""

    source: str
    target: str
    label: str = ""
    layout: str = ""
    name: str = ""


@dataclass(frozen=True)
class Drawing:
    """What is drawn of a graph: boxes in an order in which every arrow points forward (but for those of a circle), and
    how many were left out."""

    title: str
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    left_out: int = 0


@dataclass(frozen=True)
class Picture:
    """A graph that is drawn, and what was found in it."""

    drawing: Drawing
    inspection: Inspection
