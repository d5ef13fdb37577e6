"""Every record that passes between stages, and the two protocols behind which engines stand.

Design note.  A stage is a function from frozen records to frozen records; nothing here knows a framework, ONNX or a
file format.  A *case* says what is computed; a *party* is one way to compute it and its name is its path; a *run* is
what one party answered, a value or a failure, never an exception; a *diff* is an edge between two parties together
with what was seen on it; *evidence* is everything known about one case; a *finding* is a sentence about a cause.
Arrays do not travel in records: a run refers to the ``.npy`` files its worker wrote (:class:`ArrayFile`), so that the
supervisor stays small and every number in a report can be looked at afterwards.
"""

from __future__ import annotations

import math
import mmap
import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

OUTCOMES = ("equal", "rounding", "diverges", "missing", "nondeterministic")
Outcome = Literal["equal", "rounding", "diverges", "missing", "nondeterministic"]

BLAMES = (
    "agree",
    "conditioning",
    "crashed",
    "export",
    "export-failed",
    "kernel",
    "native",
    "nondeterministic",
    "optimizer",
    "parameters",
    "reference",
    "semantics",
    "unspecified",
    "unsupported",
)

STATUSES = ("expected", "unexpected", "stale", "undecided")
Status = Literal["expected", "unexpected", "stale", "undecided"]


class UnusableInput(Exception):
    """The command's words or its input cannot be used: one line saying who, what was seen, expected, what to do."""


class MissingEngine(Exception):
    """A required engine is not installed."""


class BrokenCheck(Exception):
    """A check gives a wrong answer where the right one is known: a bug of this tool, and nothing it says counts."""


@dataclass(frozen=True)
class Tensor:
    """A named array of a case: its axes, its shape, its type and where its numbers come from.

    ``axes`` names the axes in the case's own order, separated by spaces (``"n c h w"``; ``""`` is a scalar).  Values
    are drawn from the integers ``low <= v < high``, or, with ``integers=False``, uniformly from ``[low, high)``;
    ``values`` (nested sequences or an array) fixes them instead.  ``layouts`` gives the order of the axes for a
    framework where its usual one does not fit: ``{"tensorflow": "h w o i"}``.  For an output ``shape=None`` promises
    no shape, and the numbers are not used."""

    axes: str
    shape: tuple[int, ...] | None = None
    dtype: str = "float32"
    low: float = 0
    high: float = 4
    integers: bool = True
    values: Any = None
    layouts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Absent:
    """A value that is absent on purpose (the gradient at a non-leaf): equal only where both sides lack it."""

    reason: str


@dataclass(frozen=True)
class Each:
    """A parameter that differs by framework: ``Each(torch=1e-5, tensorflow=1e-3)``."""

    values: Mapping[str, Any]

    def __init__(self, **values: Any) -> None:
        object.__setattr__(self, "values", dict(values))


@dataclass(frozen=True)
class Rounded:
    """A truth that float arithmetic reaches only by rounding.

    ``value`` is the float64 definition; ``scale`` (broadcastable to it) is the sum of absolute values that the
    arithmetic passes through; ``roundings`` is k.  The bound is gamma_k * scale with gamma_k = k u / (1 - k u)
    (Higham, Accuracy and Stability of Numerical Algorithms, 3.1), u the unit roundoff of the party's type.
    ``floor`` is an absolute term for results below the smallest normal number."""

    value: Any
    scale: Any
    roundings: int
    floor: float = 0.0


@dataclass(frozen=True)
class Gradient:
    """Ask for the gradients of the output ``of``, contracted with the input ``cotangent``.

    ``wrt`` names inputs, parameters, or other outputs of the model (values that are not leaves).  The results are
    outputs of the case under the names ``grad_NAME``.  An output declared ``Absent`` is one nobody asks for."""

    of: str
    wrt: tuple[str, ...]
    cotangent: str


@dataclass(frozen=True)
class Expected:
    """A divergence that a case declares in advance.  It expires loudly: where it no longer shows, the run fails.

    ``cause``, ``op`` (one, or several) and ``nodes`` (names or globs) say what is expected: what shows besides, another
    operator or another node, is not."""

    blame: str
    reason: str
    cause: str | None = None
    when: str | None = None  # a requirement such as "tf2onnx<1.18"; elsewhere the expectation does not apply
    op: str | tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()


Builder = Callable[..., Callable[..., Any]]
Truth = Callable[..., Any]


@dataclass(frozen=True)
class Case:
    """One model with its inputs, as every framework that has it builds it.

    ``builders[framework](module, **parameters)`` returns the model, a callable of the inputs in their declared order
    (a function, a ``torch.nn.Module``, a Keras model, a ``tf.Module``, a ``tf.function``); it returns one array, or a
    tuple in the order of ``outputs`` (without the gradients), or a mapping by their names, or these nested in each
    other, in named tuples and in dataclasses: then an output's name is the path to it (``hidden_0``).
    ``truth(**inputs, **parameters)`` is the definition in float64 numpy in the case's own axes: an array (exact: every
    party has these bits) or a :class:`Rounded`, or a mapping of them by output.  A mapping of functions by framework
    says that the frameworks mean different things.
    ``expect`` maps an edge to what is expected to part there; the parties of an edge may be globs (``"torch>*"``).
    ``by_name`` calls the model with its inputs by keyword (``model(input_ids=…, attention_mask=…)``), a Keras model of
    named inputs with a mapping of them.
    ``dynamic`` names axes whose size the exported graph must leave open, with at least two more sizes each at which it
    is judged: ``{"n": (1, 5), "t": (4, 9)}`` is judged at n=1, t=4 and at n=5, t=9 besides the declared shapes.
    ``inputs_file`` names an ``.npz`` of the inputs' values and ``onnx`` files to be judged in place of fresh exports,
    by party (``{"torch": "model.onnx"}``); both are relative to the case file.
    ``training`` runs and exports the model in training mode; otherwise it is in evaluation mode, whatever mode the
    builder left it in.  ``note`` is printed with the verdict."""

    name: str
    inputs: Mapping[str, Tensor]
    builders: Mapping[str, Builder]
    outputs: Mapping[str, Tensor | Absent] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    truth: Truth | Mapping[str, Truth] | None = None
    gradient: Gradient | None = None
    training: bool = False
    by_name: bool = False
    dynamic: Mapping[str, Sequence[int]] = field(default_factory=dict)
    inputs_file: str | Path | None = None
    onnx: Mapping[str, str | Path] = field(default_factory=dict)
    expect: Mapping[tuple[str, str], Expected | tuple[Expected, ...]] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class CaseRef:
    """Where a case is: its file and its full name ``GROUP/NAME``.  Workers load the case from it.

    ``numbers`` is a digest of the inputs and parameters it gave when the run began, ``sizes`` are those of its dynamic
    axes where they are not the declared ones, ``given`` an ``.npz`` of inputs in place of the case's own,
    ``drawn`` says which other inputs are drawn in place of all of these, and from which seed."""

    file: Path
    name: str
    numbers: str = ""
    sizes: tuple[tuple[str, int], ...] = ()
    given: Path | None = None
    drawn: tuple[str, int] | None = None

    @property
    def group(self) -> str:
        return self.name.split("/", 1)[0]

    @property
    def size(self) -> str:
        """The sizes, ``n=5, t=9``, or the other inputs in words; nothing at what is declared."""
        return self.drawn[0] if self.drawn else ", ".join(f"{axis}={length}" for axis, length in self.sizes)


_PARTY = re.compile(r"^(?P<framework>[a-z]*)(?::(?P<exporter>[a-z]+))?(?:>(?P<runtime>[a-z.]+))?(?P<double>@64)?$")


@dataclass(frozen=True, order=True)
class Party:
    """One way to get the answer, ``FRAMEWORK[:EXPORTER][>RUNTIME][@64]``; without a runtime it is the native run.

    ``truth`` and ``truth@FRAMEWORK`` are parties too (``framework="truth"``, ``meaning`` the framework), and so is
    ``truth@torch(tensorflow)``: what torch means, with TensorFlow's parameters."""

    framework: str
    exporter: str = ""
    runtime: str = ""
    double: bool = False
    meaning: str = ""
    parameters: str = ""

    @classmethod
    def parse(cls, text: str) -> Party:
        """Read a party's name.  Raises :class:`UnusableInput` where it is not one."""
        if text == "truth":
            return cls("truth")
        if text.startswith("truth@"):
            meaning, _, given = text.removeprefix("truth@").rstrip(")").partition("(")
            return cls("truth", meaning=meaning, parameters=given)
        match = _PARTY.match(text)
        if match is None or not (match["framework"] or match["exporter"]):
            raise UnusableInput(
                f"party {text!r}: expected FRAMEWORK[:EXPORTER][>RUNTIME][@64], such as torch:raw>ort.off"
            )
        return cls(match["framework"], match["exporter"] or "", match["runtime"] or "", bool(match["double"]))

    def __str__(self) -> str:
        if self.framework == "truth":
            given = f"({self.parameters})" if self.parameters else ""
            return f"truth@{self.meaning}{given}" if self.meaning else "truth"
        runtime = f">{self.runtime}" if self.runtime else ""
        return f"{self.graph}{runtime}{'@64' if self.double else ''}"

    @property
    def graph(self) -> str:
        """The name of the exported graph this party runs: ``torch:raw``.  For a native run, its framework's name."""
        return f"{self.framework}:{self.exporter}" if self.exporter else self.framework

    @property
    def native(self) -> bool:
        return not self.runtime and self.framework != "truth"

    @property
    def slug(self) -> str:
        """The party's name as a file name."""
        return str(self).replace(":", ".").replace(">", "+").replace("(", ".").replace(")", "")


@dataclass(frozen=True)
class Failure:
    """Why a party has no answer.  ``kind``:

    ``refused``      the engine raised: it will not build, export or run this;
    ``unsupported``  a valid graph, but this engine does not implement an operator of it;
    ``invalid``      the graph is not a valid model (checker, or a runtime on loading it);
    ``builder``      the case's own builder raised, or returned what the case did not promise;
    ``crashed``      killed by a signal;  ``timeout``  over the time limit;  ``memory``  over the memory limit;
    ``tool``         a bug of this project."""

    kind: str
    says: str
    op: str | None = None
    node: str | None = None


@dataclass(frozen=True)
class ArrayFile:
    """An array by reference: a ``.npy`` file in the run's folder, in the case's own axes.

    ``meant``: the type in which the party gave it, where numpy has none and the numbers are kept in a wider one."""

    file: Path
    shape: tuple[int, ...]
    dtype: str
    axes: str | None = None
    meant: str = ""

    @property
    def given(self) -> str:
        """The type that the party gave the array in."""
        return self.meant or self.dtype

    def load(self) -> Array:
        array = np.asarray(np.load(self.file, allow_pickle=False))
        if array.dtype.name == self.dtype:
            return array
        import ml_dtypes  # a type that numpy lacks (bfloat16, float8) is stored as unsigned integers of its size

        return array.view(getattr(ml_dtypes, self.dtype))


@dataclass(frozen=True)
class Bound:
    """How far from its definition float arithmetic may land: gamma_k * scale + floor + slack, elementwise.

    ``slack`` is an absolute term measured elsewhere (the response to a constant's own rounding), ``sides`` that of
    whole numbers, which rounding puts on either side of a jump."""

    scale: ArrayFile | None = None
    roundings: int = 0
    floor: float = 0.0
    slack: ArrayFile | None = None
    sides: ArrayFile | None = None


@dataclass(frozen=True)
class Run:
    """What one party answered.  Exactly one of ``outputs`` and ``error`` is set.

    ``bounds`` are by output; an output without one is exact (for a truth) or says nothing (for anybody else).
    ``derived`` says where a definition comes from that the case did not give, ``varies`` why a run is not
    ``deterministic``, where that is known."""

    party: Party
    outputs: Mapping[str, ArrayFile | Absent] | None = None
    error: Failure | None = None
    deterministic: bool = True
    seconds: float = 0.0
    bounds: Mapping[str, Bound] = field(default_factory=dict)
    derived: str = ""
    notes: tuple[str, ...] = ()
    varies: str = ""


@dataclass(frozen=True)
class Model:
    """What one exporter wrote.  ``inputs``/``outputs`` map the case's names to the graph's; ``axes`` gives the order of
    axes that stands at the graph's border, by the case's names, where it is not the case's own."""

    graph: str
    file: Path | None = None
    error: Failure | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    axes: Mapping[str, str] = field(default_factory=dict)
    weights: Path | None = None  # an .npz of the source's own constants, where no graph before this one holds them
    seconds: float = 0.0
    log: str = ""
    notes: tuple[str, ...] = ()
    given: bool = False  # a file that somebody else exported
    frozen: tuple[str, ...] = ()  # what its tracer took for a constant, in the tracer's own words


@dataclass(frozen=True)
class Diff:
    """An edge: two parties that differ in one step, and what was seen between them.

    ``index`` and ``values`` are the worst element's (index in the case's axes; left's, right's value), ``ratio`` its
    distance over its bound, ``max_abs`` the largest absolute difference, ``compared`` how many elements were compared,
    ``problem`` why nothing (or not everything) could be compared, ``explanation`` a fact about the difference that is
    never a pass ("equals the other side transposed by (0, 3, 1, 2)"), ``empty`` the outputs that are equal because they
    have no element.  ``size`` says at which sizes of the case's
    dynamic axes, nothing at the declared ones."""

    left: str
    right: str
    isolates: str
    outcome: Outcome
    compared: int = 0
    max_abs: float | None = None
    ratio: float | None = None
    output: str | None = None
    index: tuple[int, ...] | None = None
    values: tuple[float, float] | None = None
    differing: int = 0
    nan_only: bool = False  # every differing element is NaN on one side
    problem: str | None = None
    explanation: str | None = None
    size: str = ""
    empty: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        return self.outcome in ("equal", "rounding")


@dataclass(frozen=True)
class Blamed:
    """One step that parts: the blame, the party whose step it is, the edge it was read from, and where in the graph.

    ``among``: of a node that was not told apart from others, how many they are together."""

    blame: str
    party: str
    edge: tuple[str, str]
    op: str | None = None
    nodes: tuple[str, ...] = ()
    says: str = ""
    size: str = ""  # of the case's dynamic axes; nothing at the declared ones
    among: Mapping[str, int] = field(default_factory=dict, hash=False)


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
    :mod:`pipeline.graph.spellings` has it; ``None`` where there is no such spelling, or none known to be exact."""

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

    ``for_whom`` are the nodes that need the change: the first ones downstream for which the order of axes matters.
    With each Transpose of ``cancels_with`` it composes to the identity; ``vanishes`` says that all of them can be taken
    out, once axes and constants of the nodes ``through`` which they meet are rewritten, and nothing else notices.
    ``through`` are the nodes in between, or those through which it could be moved to
    ``border``, inputs or outputs of the graph.  ``bytes`` are those that it moves, ``None`` where dims are not known.
    ``on_constant``: what it transposes could be stored transposed."""

    node: str
    perm: tuple[int, ...]
    kind: str
    for_whom: tuple[str, ...] = ()
    cancels_with: tuple[str, ...] = ()
    through: tuple[str, ...] = ()
    border: tuple[str, ...] = ()
    bytes: int | None = None
    on_constant: bool = False
    vanishes: bool = False


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


@dataclass(frozen=True)
class Origin:
    """Where a value of a graph comes from: the source's own name of it, the module's path and the user's line.

    ``op`` is the operator of the source that made it, in the source's words, where the source has no float64.
    """

    value: str
    module: str = ""
    line: str = ""
    op: str = ""

    def __str__(self) -> str:
        return ", ".join(filter(None, (self.value, self.module and f"in {self.module}", self.line)))


@dataclass(frozen=True)
class Stored:
    """Arrays one after another in one file, as they came; ``slots`` are their places: offset, type, shape.

    The file is mapped, so that reading an array is reading what is used of it, and nothing is held.
    """

    file: Path
    slots: Mapping[str, tuple[int, str, tuple[int, ...]]] = field(default_factory=dict)

    def load(self, name: str) -> Array | None:
        """One array, not to be written to; None where it is not there."""
        if name not in self.slots:
            return None
        offset, dtype, shape = self.slots[name]
        if not math.prod(shape):
            return np.zeros(shape, dtype)
        state = self.file.stat()
        return np.ndarray(shape, dtype, _mapped(self.file, state.st_size, state.st_mtime_ns), offset)

    def bytes(self, name: str) -> int:
        _, dtype, shape = self.slots[name]
        return math.prod(shape) * np.dtype(dtype).itemsize


@lru_cache(maxsize=4)
def _mapped(file: Path, size: int, changed: int) -> mmap.mmap:
    with file.open("rb") as stream:
        return mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_READ)


@dataclass(frozen=True)
class SourceValues:
    """The source's own intermediate values for one exported graph, by the graph's names.

    ``single`` are in the case's own precision, ``double`` in float64 (``None`` where the source has none, or nobody
    asked); ``origins`` says where each comes from.  ``permuted`` says that the graph may hold a value in another order
    of axes than the source.
    """

    graph: str
    single: Stored | None = None
    double: Stored | None = None
    origins: Mapping[str, Origin] = field(default_factory=dict)
    permuted: bool = False
    error: Failure | None = None
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> Set[str]:
        stored = self.single or self.double
        return stored.slots.keys() if stored is not None else frozenset()

    def array(self, name: str, *, double: bool = False) -> Array | None:
        """One value; None where the source does not have it."""
        stored = self.double if double else self.single
        return None if stored is None else stored.load(name)

    def narrow(self, name: str) -> Array | None:
        """One value in the case's own precision; rounded to float32 from float64 where that is all there is."""
        if self.single is not None or self.double is None:
            return self.array(name)
        wide = self.double.load(name)
        with np.errstate(over="ignore"):
            return wide.astype(np.float32) if wide is not None and wide.dtype == np.float64 else wide


@dataclass(frozen=True)
class NodeError:
    """What one node adds of its own: ``introduced`` is the largest distance on the inputs it was given, ``ratio`` that
    over its bound, ``propagated`` the largest distance of its value from the source's in a whole run.

    ``values`` are what was due and what was seen at ``index``; ``together`` names nodes without a value of the source,
    which are judged through this one.  ``precision`` is a shorter format whose factors explain the value entirely.
    """

    node: str
    op: str
    output: str
    ratio: float | None = None
    introduced: float | None = None
    propagated: float | None = None
    index: tuple[int, ...] | None = None
    values: tuple[float, float] | None = None
    together: tuple[str, ...] = ()
    origin: Origin | None = None
    problem: str | None = None
    precision: str | None = None


@dataclass(frozen=True)
class Contribution:
    """How much of the difference of an output at ``index`` arises in some nodes, all of them inside their bounds.

    ``difference`` is signed, the runtime's less the source's; all contributions to an output add up to its difference.
    ``condition`` is the median of |w|.|x| / |w.x| of a node that sums products.  One without nodes stands for the
    ``others`` nodes.
    """

    nodes: tuple[str, ...]
    output: str
    difference: float
    index: tuple[int, ...] = ()
    condition: float | None = None
    others: int = 0


@dataclass(frozen=True)
class Localization:
    """Which nodes of a graph are guilty, as seen by ``party``: of the exporter's step or of a runtime's.

    ``judged`` counts the nodes that were judged, alone or through a later one; ``uncompared`` are those about which
    nothing could be said; ``unmapped`` counts the values that the source does not have; ``peak`` is the bytes of
    arrays held at most, weights not counted; ``within`` are the judged outputs that are inside their bounds;
    ``contributions`` say where a difference arises that no node is guilty of; ``only`` is the graph's node, where it is
    the only one between the inputs and the outputs;
    ``captured`` is how far what the exporter captured is from the native run, where it is not the same: what no node of
    the graph did.
    """

    graph: str
    party: str
    blame: str
    guilty: tuple[NodeError, ...] = ()
    judged: int = 0
    nodes: int = 0
    uncompared: tuple[NodeError, ...] = ()
    unmapped: int = 0
    mapped: int = 0
    peak: int = 0
    precision: str = ""
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    captured: str = ""
    within: tuple[NodeError, ...] = ()
    contributions: tuple[Contribution, ...] = ()
    only: NodeError | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Evidence:
    """Everything known about one case before causes are looked for.

    ``sizes`` holds the runs at other sizes of the case's dynamic axes, by these in words."""

    case: str
    runs: Mapping[str, Run]
    models: Mapping[str, Model]
    graphs: Mapping[str, GraphFacts]
    edges: tuple[Diff, ...]
    groups: tuple[tuple[str, ...], ...]
    blames: tuple[Blamed, ...]
    sizes: Mapping[str, Mapping[str, Run]] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """A cause with a name.  ``proved`` only when one edit made the divergence vanish and undoing it brought it back."""

    cause: str
    blame: str
    party: str
    nodes: tuple[str, ...]
    says: str
    proved: bool = False
    edit: str | None = None


@dataclass(frozen=True)
class ExpectationResult:
    """What became of one declared expectation: ``met``, ``stale``, ``undecided`` or ``not applicable``."""

    edge: tuple[str, str]
    expected: Expected
    outcome: str
    says: str = ""


@dataclass(frozen=True)
class Apart:
    """The largest difference that an agreement covers, beside the largest number of its output, and what it means.

    ``digits`` is how many decimal digits of that number it leaves; ``moved`` in how many of ``rows`` (the last axis of
    an output of up to three) the place of the largest element is another one.
    """

    left: str
    right: str
    output: str
    max_abs: float
    top: float
    digits: int
    rows: int = 0
    moved: int = 0
    size: str = ""


@dataclass(frozen=True)
class Verdict:
    """The answer for one case: what was seen, who is blamed, why, and whether that was declared.

    ``deaths`` are sentences about processes that were killed, and whose work another one did when it was asked."""

    case: str
    status: Status
    blame: tuple[str, ...]
    evidence: Evidence
    findings: tuple[Finding, ...] = ()
    expectations: tuple[ExpectationResult, ...] = ()
    unexpected: tuple[Blamed, ...] = ()
    problems: tuple[str, ...] = ()
    note: str = ""
    apart: Apart | None = None
    deaths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """One run of ``verify``.  ``folder`` is where its files were while it ran; ``out`` the same if they were kept."""

    versions: Mapping[str, str | None]
    seed: int
    exit_status: int
    verdicts: tuple[Verdict, ...]
    notices: tuple[str, ...] = ()
    seconds: float = 0.0
    out: Path | None = None
    folder: Path | None = None


@dataclass(frozen=True)
class Roundings:
    """``count`` roundings on the longest path; ``unknown`` are the operators that nobody counted."""

    count: int
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Jitter:
    """A perturbation by ``step``, signs drawn from ``seed``.

    ``what`` is moved: every float input and weight; the ``roundings`` of the program itself, which are its scalars that
    float32 cannot hold and the result of every operator, by as many steps as the operator rounds; or, of these, only
    what is a ``constants``' cone, which no input reaches.  ``turned`` moves those the other way whose number has that
    bit: two that cancel in one draw add up in its twin.  What is not float64 is moved by its own type's eps.  A step of
    0 moves nothing.  ``inward`` moves inputs and weights towards zero or not at all: a target of 1 stays one."""

    seed: int
    step: float = 2.0**-24
    what: Literal["inputs", "roundings", "constants"] = "inputs"
    turned: int | None = None
    inward: bool = False


class Framework(Protocol):
    """A framework adapter: ``pipeline/frameworks/NAME.py`` holds one instance named ``FRAMEWORK``.

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
        :mod:`pipeline.frameworks._state`."""

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


class Runtime(Protocol):
    """A runtime adapter: ``pipeline/runtimes/NAME.py`` holds a tuple ``RUNTIMES`` of them.

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

    def open(
        self, file: Path, *, double: bool = False
    ) -> Callable[[Mapping[str, Array], Sequence[str]], Sequence[Array]]:
        """Load a model; the result runs it on feeds by name and returns the named outputs, as often as asked.

        ``double`` says that the graph was converted to float64 and that float64 is what its numbers must be worth.

        Both raise :class:`Unsupported` where an operator of a valid graph is not implemented, :class:`InvalidGraph`
        where the graph is no model, and anything else for any other refusal.
        """

    def part(
        self, model: bytes, weights: Mapping[str, Array]
    ) -> Callable[[Mapping[str, Array], Sequence[str]], Sequence[Array]]:
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
    ) -> Callable[[Mapping[str, Array], Sequence[str]], Sequence[Array]]:
        """As :meth:`Runtime.open`, without the passes ``off``, or at another ``level``; ``saved`` gets what is run."""

    def switch(self, off: Sequence[str], level: str | None) -> str:
        """What a user writes to switch these passes off, or to run at that level."""


class RefusedGraph(Exception):
    """A graph is not taken, for an operator or a node if that is known."""

    def __init__(self, says: str, op: str | None = None, node: str | None = None) -> None:
        super().__init__(says)
        self.op = op
        self.node = node


class Unsupported(RefusedGraph):
    """A runtime does not implement an operator of a graph that is valid."""


class InvalidGraph(RefusedGraph):
    """A graph is not a valid model, as the checker or a runtime sees it when loading it."""
