"""What can be read off an exported graph without running it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Pads:
    """The effective padding of one node, per spatial axis (of a Pad node: per axis), ``auto_pad`` resolved.

    ``begin``/``end`` are ``None`` where what is needed to resolve them is unknown: ``condition`` then says what they
    depend on, as far as that can be said; ``auto_pad`` is the attribute as written (``"NOTSET"`` where explicit).
    ``symmetric`` is about ``begin`` and ``end``.  Of a ConvTranspose they are what is cut from the output, and
    ``extra`` is what is added after.

    ``with_pad`` is (begin, end) with those of Pad nodes in front, where these fill in what the node's own padding does.
    All that follows is about that sum, and about the input in front of these Pads: ``unread`` is how many of the last
    padded columns no window reads, ``overhang`` how far the last window reaches beyond them (``ceil_mode``), ``None``
    per axis where it depends on an unknown size; ``offset`` is where the first window's centre lies, (dk-1)/2 - begin
    with dk = (k-1)*dilation + 1, in pixels of the input (of a ConvTranspose: the first pixel's footprint, in pixels of
    the output).  ``torch`` and ``keras`` spell the padding, ``BEFORE, ARGUMENTS; AFTER``, as
    ``facts.spellings`` has it; ``None`` where there is no such spelling, or none known to be exact."""

    node: str
    op: str
    begin: tuple[int, ...] | None
    end: tuple[int, ...] | None
    auto_pad: str
    symmetric: bool | None
    note: str = ""
    extra: tuple[int, ...] | None = None
    with_pad: tuple[tuple[int, ...], tuple[int, ...]] | None = None
    unread: tuple[int | None, ...] | None = None
    overhang: tuple[int | None, ...] | None = None
    offset: tuple[float, ...] | None = None
    torch: str | None = None
    keras: str | None = None
    condition: str = ""


@dataclass(frozen=True)
class Transpose:
    """A Transpose node; ``kind`` reads its permutation: ``"NHWC->NCHW"``, ``"HWIO->OIHW"``, ``"other"`` …

    ``needed_by`` are the first nodes downstream for which the order of axes matters.  With each Transpose of
    ``cancels_with`` it composes to the identity; ``removable``: all of them can be removed once axes and constants of
    the nodes ``through`` which they meet are rewritten, and no other node is affected.  ``through`` are the nodes in
    between, or those through which it could be moved to ``movable_to``, inputs or outputs of the graph.  ``bytes`` is
    the size of its output, ``None`` where dims are unknown.  ``on_constant``: its input is a constant, which could be
    stored transposed."""

    node: str
    perm: tuple[int, ...]
    kind: str
    needed_by: tuple[str, ...] = ()
    cancels_with: tuple[str, ...] = ()
    through: tuple[str, ...] = ()
    movable_to: tuple[str, ...] = ()
    bytes: int | None = None
    on_constant: bool = False
    removable: bool = False


@dataclass(frozen=True)
class GraphFacts:
    """What an exported graph holds, read without running it.

    ``narrows`` names the Casts to floats narrower than float32: runtimes are known to leave such a step out;
    ``unordered`` the nodes whose results may come in any order, ``draws`` those that draw random numbers."""

    file: Path
    opset: int | None
    producer: str
    ops: Mapping[str, int]
    pads: tuple[Pads, ...]
    transposes: tuple[Transpose, ...]
    inputs: Mapping[str, str] = field(default_factory=dict)  # name -> "float32[2,3,6,6]"
    outputs: Mapping[str, str] = field(default_factory=dict)
    initializers: int = 0
    parameters: int = 0
    notes: tuple[str, ...] = ()
    narrows: tuple[str, ...] = ()
    draws: tuple[str, ...] = ()
    unordered: tuple[str, ...] = ()
