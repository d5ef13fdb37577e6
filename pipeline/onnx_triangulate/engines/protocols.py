"""The protocols behind which engines stand: frameworks, runtimes, and the optimizers of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.case import Case
from onnx_triangulate.records.faults import SourceValues
from onnx_triangulate.records.runs import Jitter, Model, Roundings

Evaluate = Callable[[Mapping[str, Array], Sequence[str]], Sequence[Array]]  # a loaded graph: feeds by name, and outputs


@runtime_checkable
class Framework(Protocol):
    """A framework adapter: ``engines/frameworks/NAME.py`` holds one instance named ``FRAMEWORK``.

    Every method but the attributes is called in a worker process only.
    """

    name: str
    distributions: Sequence[str | tuple[str, ...]]  # what must be installed, the engine first; a tuple offers a choice
    exporters: Sequence[str]  # "" is the one people ship
    layouts: Mapping[str, str]  # its usual order of axes, by the case's: {"n c h w": "n h w c"}

    def warm(self) -> None:
        """Import everything and do once what is otherwise done at the first call."""

    def native(self, case: Case, values: Mapping[str, Any], *, double: bool, seed: int) -> Mapping[str, Any]:
        """Run the case natively.  ``values``: inputs and parameters in this framework's order of axes; so are the
        results, ``None`` for a gradient that does not exist."""

    def instance(self, case: Case, values: Mapping[str, Any], *, seed: int) -> Any:
        """The model of a case without gradients, built in the case's own precision: an ``Instance`` of
        ``engines.frameworks._model_state``."""

    def perturbed(
        self, case: Case, values: Mapping[str, Any], *, double: bool, seed: int, jitters: Sequence[Jitter]
    ) -> Iterator[Mapping[str, Any]]:
        """What :meth:`native` gives under each of ``jitters``; a model with its own weights is built once.
        Raises ``NotImplementedError`` for roundings that cannot be reached."""

    def roundings(self, case: Case, values: Mapping[str, Any], *, double: bool, seed: int) -> Roundings | None:
        """The roundings on the longest path through the framework's own operators; None where nobody sees them."""

    def export(
        self, case: Case, values: Mapping[str, Any], exporters: Sequence[str], folder: Path, *, seed: int
    ) -> Sequence[Model]:
        """Export the case with each of ``exporters``."""

    def weights(self, case: Case, values: Mapping[str, Any], folder: Path, *, seed: int) -> Path:
        """Every weight that the model holds or is given, in one ``.npz`` file in ``folder``."""

    def values(
        self,
        case: Case,
        values: Mapping[str, Any],
        model: Model,
        folder: Path,
        *,
        seed: int,
        doubles: Sequence[bool],
        proto: Any = None,
    ) -> SourceValues:
        """The source's own intermediate values by the names of ``model``'s graph, written to ``folder``: in the case's
        precision (``False`` in ``doubles``) and in float64, where the source has that.  ``proto`` is the graph, with or
        without its weights, if somebody has read it already."""


@runtime_checkable
class OptimizingFramework(Protocol):
    """A framework whose exporter has an optimizer: it makes ``NAME`` of ``NAME:raw``, in passes that have names."""

    def passes(self) -> Sequence[str]:
        """The names of the passes."""

    def optimized(self, raw: Path, off: Sequence[str], place: Path) -> Path:
        """The raw graph after all passes but those in ``off``, written to ``place``."""


@runtime_checkable
class Runtime(Protocol):
    """A runtime adapter: ``engines/runtimes/NAME.py`` holds a tuple ``RUNTIMES`` of them.

    ``after`` names the runtime whose result this one's is held against ("" is the native run) and ``step`` what that
    edge isolates, so that a new runtime brings its own edges.
    """

    @property
    def name(self) -> str: ...
    @property
    def distribution(self) -> str: ...
    @property
    def after(self) -> str: ...
    @property
    def step(self) -> str: ...
    @property
    def double(self) -> bool:
        """Whether it also runs the graph in float64."""

    def open(self, file: Path, *, double: bool = False) -> Evaluate:
        """Load a model; the result runs it on feeds by name and returns the named outputs, as often as asked.

        ``double`` says that the graph was converted to float64 and that float64 is what its numbers must be worth.

        Both raise :class:`Unsupported` where an operator of a valid graph is not implemented, :class:`InvalidGraph`
        where the graph is no model, and anything else for any other refusal.
        """

    def part(self, model: bytes, weights: Mapping[str, Array]) -> Evaluate:
        """Load a serialized model whose external initializers are ``weights``, without a copy where that can be."""


@dataclass(frozen=True)
class Passes:
    """The passes that an optimizer has for one graph.

    ``names`` can be switched off, and are in the order in which they run, as far as that is known; those in ``groups``
    stand for several passes at once, some of which may have no name here.  ``applied`` are those known to have changed
    the graph; ``levels`` are weaker settings than the party's own, the strongest first; ``source`` says where the names
    come from.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...] = ()
    applied: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()
    source: str = ""


@runtime_checkable
class Optimizing(Runtime, Protocol):
    """A runtime whose step rewrites the graph, and whose passes can be switched off one by one."""

    def passes(self, file: Path) -> Passes:
        """The passes that this version runs over the graph of ``file``, also where it then refuses what they made."""

    def recorded(self) -> Passes:
        """The passes as written down here, for where the runtime cannot be asked; no engine is imported for it."""

    def open_without(
        self, file: Path, off: Sequence[str] = (), level: str | None = None, *, saved: Path | None = None
    ) -> Evaluate:
        """As :meth:`Runtime.open`, without the passes ``off``, or at another ``level``; ``saved`` gets what is run."""

    def switch(self, off: Sequence[str], level: str | None) -> str:
        """What a user writes to switch these passes off, or to run at that level."""
