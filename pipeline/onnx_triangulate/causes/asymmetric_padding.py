"""One framework pads before, the other after: SAME against a number on both sides.

With an even input, an odd kernel and stride 2, SAME needs one row and one column only and puts it after; a padding of 1
stands on both sides, and the windows never reach the last one.  The outputs have one shape and other numbers.  What
counts is where the first window begins, so that is what is compared, a Pad node in front included.
"""

from __future__ import annotations

from onnx import ModelProto

from onnx_triangulate.causes._registry import Cause, Example, Load, first_graph
from onnx_triangulate.facts.pads import Window, windows
from onnx_triangulate.onnxgraph.nodes import printable
from onnx_triangulate.records.verdict import Blame, Evidence, Finding

_AXES = {1: "w", 2: "h w", 3: "d h w"}
_TENSORFLOW = ("tensorflow", "tensorflow:nchw")
_TORCH = ("torch", "torch:raw", "torch:script")
# One axis' padding, as told before and after, and how much of the latter the windows reach.
_Sides = tuple[int, int, int]


def _used(window: Window) -> tuple[_Sides, ...] | None:
    """Per axis: what is padded before and after in all, and how much of it the windows reach after."""
    if window.begin is None or window.end is None:
        return None
    before, after = window.before or ((0,) * len(window.begin), (0,) * len(window.begin))
    extra = window.extra or (0,) * len(window.begin)
    sizes = window.output
    sides = []
    for axis, (begin, end) in enumerate(zip(window.begin, window.end, strict=True)):
        first, last = begin + before[axis], end + after[axis] - extra[axis]
        reached = last
        out = sizes[axis] if sizes is not None else None
        size = window.size[axis] if window.size is not None else None
        if out is not None and size is not None and window.op != "ConvTranspose":
            span = ((window.kernel or ())[axis] - 1) * (window.dilations or ())[axis] + 1
            reached = (out - 1) * (window.strides or ())[axis] + span - size - first
        sides.append((first, last, reached))
    return tuple(sides)


def _part(left: Window, right: Window) -> bool:
    """Whether two corresponding windows begin at different places of an input that they cover alike."""
    if (left.strides, left.dilations) != (right.strides, right.dilations):
        return False
    if left.kernel is not None and right.kernel is not None and left.kernel != right.kernel:
        return False
    mine, other = _used(left), _used(right)
    if mine is None or other is None or len(mine) != len(other):
        return False
    if not any(a[0] != b[0] for a, b in zip(mine, other, strict=True)):
        return False
    shapes = (left.output, right.output)
    if all(s is not None and None not in s for s in shapes):
        return shapes[0] == shapes[1]
    # Sizes are not known: an asymmetric side, and totals that can give one size, are what is left to go by.
    strides = left.strides or (1,) * len(mine)
    lopsided = any(a[0] != a[1] or b[0] != b[1] for a, b in zip(mine, other, strict=True))
    near = all(abs(a[0] + a[1] - b[0] - b[1]) < s for a, b, s in zip(mine, other, strides, strict=True))
    return lopsided and near


def _row(values: list[int]) -> str:
    return str(values[0]) if len(set(values)) == 1 else " ".join(str(v) for v in values)


def _says(left: Window, right: Window) -> str:
    verb = "cuts" if left.op == "ConvTranspose" else "pads"
    mine, other = _used(left) or (), _used(right) or ()
    axes = _AXES.get(len(mine), "in order")
    said = (
        f"tensorflow {verb} {_row([s[0] for s in mine])} before and {_row([s[1] for s in mine])} after, "
        f"torch {_row([s[0] for s in other])} and {_row([s[1] for s in other])} ({left.op}, axes {axes})"
    )
    for name, sides in (("tensorflow", mine), ("torch", other)):
        unreached = [max(0, s[1] - max(0, s[2])) for s in sides]
        if any(unreached):
            said += f"; {name}'s windows never reach its last {_row(unreached)}"
    return said


def _pairs(left: ModelProto, right: ModelProto) -> list[tuple[Window, Window]]:
    mine, other = windows(left), windows(right)
    if [w.op for w in mine] != [w.op for w in other]:
        return []
    return list(zip(mine, other, strict=True))


def _suspect(evidence: Evidence, blamed: Blame, load: Load) -> Finding | None:
    if blamed.blame != "semantics":
        return None
    first, second = first_graph(load, _TENSORFLOW), first_graph(load, _TORCH)
    if first is None or second is None:
        return None
    parting = [pair for pair in _pairs(first[1], second[1]) if _part(*pair)]
    if not parting:
        return None
    more = f"; {len(parting) - 1} more nodes likewise" if len(parting) > 1 else ""
    return CAUSE.finding(
        blamed,
        (name for a, b in parting for name in (a.node, b.node)),
        _says(*parting[0]) + more,
        "; ".join(_edit(second[0], mine, theirs) for mine, theirs in parting),
    )


def _edit(graph: str, source: Window, target: Window) -> str:
    """The pads that make ``target`` begin where ``source`` begins."""
    sides = _used(source) or ()
    node = f"{target.op} {printable(target.node)}"
    pads = [s[0] for s in sides] + [s[1] for s in sides]
    if target.op == "ConvTranspose":
        adds = [max(0, -s[1]) for s in sides]
        return f"in {graph}, set pads of {node} to {[max(0, p) for p in pads]} and output_padding to {adds}"
    if target.before is not None:
        return f"in {graph}, drop the Pad before {node} and set its pads to {pads}"
    return f"in {graph}, set pads of {node} to {pads}"


def _conv(pads: str, size: int | str = 6, strides: str = "2, 2") -> str:
    return f"""(float[2,2,{size},{size}] x, float[3,2,3,3] w) => (float[2,3,N,M] y) {{
        [conv] y = Conv <pads = [{pads}], strides = [{strides}]> (x, w)
    }}"""


def _transposed(pads: str, adds: str) -> str:
    return f"""(float[1,1,10,10] x, float[1,1,5,5] w) => (float[1,1,20,20] y) {{
        [deconv] y = ConvTranspose <pads = [{pads}], output_padding = [{adds}], strides = [2, 2]> (x, w)
    }}"""


def _pad_and_conv(pads: str) -> str:
    return f"""(float[2,2,6,6] x, float[3,2,3,3] w) => (float[2,3,N,M] y)
        <int64[8] p = {{0,0,0,0,0,0,1,1}}> {{
        [pad] z = Pad (x, p)
        [conv] y = Conv <pads = [{pads}], strides = [2, 2]> (z, w)
    }}"""


_BLAMED = Blame("semantics", "torch", ("tensorflow", "torch"))

CAUSE = Cause(
    name="asymmetric-padding",
    about="TensorFlow's SAME puts the odd row and column of padding after; PyTorch's number stands on both sides.",
    suspect=_suspect,
    fires=(
        Example(
            "the notebook's even input",
            _BLAMED,
            {"tensorflow": _conv("0, 0, 1, 1"), "torch": _conv("1, 1, 1, 1")},
            message="tensorflow pads 0 before and 1 after, torch 1 and 1 (Conv, axes h w)",
        ),
        Example(
            "a transposed convolution with its extra row on the other side",
            _BLAMED,
            {"tensorflow": _transposed("1, 1, 2, 2", "0, 0"), "torch": _transposed("2, 2, 2, 2", "1, 1")},
            message="tensorflow cuts 1 before and 2 after, torch 2 and 1 (ConvTranspose, axes h w)",
        ),
        Example(
            "an input whose size nothing declares",
            _BLAMED,
            {"tensorflow": _conv("0, 0, 1, 1", "N"), "torch": _conv("1, 1, 1, 1", "N")},
            message="tensorflow pads 0 before and 1 after, torch 1 and 1 (Conv, axes h w)",
        ),
        Example(
            "the padding in a node of its own",
            _BLAMED,
            {"tensorflow": _pad_and_conv("0, 0, 0, 0"), "torch:raw": _conv("1, 1, 1, 1")},
            message="tensorflow pads 0 before and 1 after, torch 1 and 1 (Conv, axes h w)",
        ),
    ),
    quiet=(
        Example(
            "the odd input, where SAME is symmetric",
            _BLAMED,
            {"tensorflow": _conv("1, 1, 1, 1", 5), "torch": _conv("1, 1, 1, 1", 5)},
        ),
        Example(
            "padding after in both, written once as a Pad",
            _BLAMED,
            {"tensorflow": _conv("0, 0, 1, 1"), "torch": _pad_and_conv("0, 0, 0, 0")},
        ),
        Example(
            "another stride, which is another operation",
            _BLAMED,
            {"tensorflow": _conv("0, 0, 1, 1"), "torch": _conv("1, 1, 1, 1", strides="1, 1")},
        ),
        Example(
            "the same pads, but it is the exporter that is blamed",
            Blame("export", "torch>reference", ("torch", "torch>reference")),
            {"tensorflow": _conv("0, 0, 1, 1"), "torch": _conv("1, 1, 1, 1")},
        ),
        Example(
            "sizes that nothing declares, and symmetric on both sides",
            _BLAMED,
            {"tensorflow": _conv("0, 0, 0, 0", "N"), "torch": _conv("1, 1, 1, 1", "N")},
        ),
        Example("one framework only", _BLAMED, {"torch": _conv("1, 1, 1, 1")}),
    ),
)
