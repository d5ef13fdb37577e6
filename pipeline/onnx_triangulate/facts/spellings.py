"""How PyTorch and Keras spell a padding: the layer's arguments, what to do before it, what after.

Design note.  A spelling is Python: ``BEFORE, ARGUMENTS; AFTER``.  ``F.pad(x, (0, 1, 0, 1)), padding=0`` pads the input
``x`` and hands ``padding=0`` to the layer; ``padding=1; y[..., :-1, :-1]`` cuts the layer's output ``y``.  Axes are in
each framework's own order (channels last in Keras).  ``None`` says that there is no spelling, or none that is exact:

* PyTorch's pools pad half a window at most, and average pools do not leave asymmetric padding out of the average.
* Keras's ``padding='same'`` is SAME_UPPER at *this* size, unless the stride is 1; it strides or dilates, not both.
* Transposed: PyTorch cuts ``padding`` at the beginning and ``padding - output_padding`` at the end; Keras's ``'same'``
  cuts what the convolution of the output's size would have padded.  What either cannot reach is cut afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence

from onnx_triangulate.cases.same_padding import split_pads
from onnx_triangulate.facts.receptive_field import Ints, Sides, Window, same
from onnx_triangulate.onnxgraph.nodes import Dims

_CONVS = ("Conv", "ConvInteger", "QLinearConv", "DeformConv")
_TORCH_MODES = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}
_MOST_AXES = 3
_INFINITE = "float('-inf')"
_SHOWN_AXES = 16


def _tuple(values: Sequence[int]) -> str:
    return str(values[0]) if len(set(values)) == 1 else f"({', '.join(str(v) for v in values)})"


def _f_pad(begin: Sequence[int], end: Sequence[int], more: str = "") -> str:
    amounts = [n for both in zip(reversed(begin), reversed(end), strict=True) for n in both]
    return f"F.pad(x, ({', '.join(str(n) for n in amounts)}){more})"


def _pairs(begin: Sequence[int], end: Sequence[int]) -> str:
    both = [f"({b}, {e})" for b, e in zip(begin, end, strict=True)]
    return both[0] if len(both) == 1 else f"({', '.join(both)})"


def _cut(begin: Sequence[int], end: Sequence[int]) -> str:
    """The slices that cut the last axes of ``y``."""
    said = [f"{b or ''}:{-e if e else ''}" for b, e in zip(begin, end, strict=True)]
    return f"y[..., {', '.join(said)}]"


def torch(window: Window) -> str | None:
    """PyTorch's spelling of the whole padding of a window, a folded Pad included."""
    both = window.total
    if both is None or window.strides is None or not window.agreed:
        return None
    if not 0 < len(both[0]) <= _MOST_AXES or min(*both[0], *both[1]) < 0:
        return None
    begin, end = both
    if window.like == "ConvTranspose":
        return _torch_transposed(window, begin, end)
    if window.like == "MaxUnpool":
        return f"padding={_tuple(begin)}" if begin == end else None
    return _torch_conv(window, begin, end) if window.like in _CONVS else _torch_pool(window, begin, end)


def _torch_conv(window: Window, begin: Ints, end: Ints) -> str:
    if begin == end:
        return f"padding={_tuple(begin)}"
    slow = max(window.strides or ()) == 1 and window.like != "DeformConv"
    halves = [split_pads(span - 1, True) for span in window.spans or ()]
    return (
        "padding='same'"
        if slow and list(zip(begin, end, strict=True)) == halves
        else f"{_f_pad(begin, end)}, padding=0"
    )


def _torch_pool(window: Window, begin: Ints, end: Ints) -> str | None:
    dilated = window.like != "MaxPool" and max(window.dilations or (1,)) > 1
    ceil = _rounds_up(window)
    if window.spans is None or dilated or ceil is None or _misfits(window):
        return None
    more = ", ceil_mode=True" if ceil else ""
    if window.like == "LpPool":
        # Its ceil_mode divides by a whole window and multiplies by it, whatever of it lies inside.
        return None if ceil else _f_pad(begin, end)
    counts = f", count_include_pad={window.counted}" if window.like == "AveragePool" and any((*begin, *end)) else ""
    # Half of the kernel: only some of PyTorch's pools count its dilation.
    if begin == end and all(2 * b <= k for b, k in zip(begin, window.kernel or (), strict=True)):
        return f"padding={_tuple(begin)}{more}{counts}"
    if not _counts_alike(window, end):
        return None
    if window.like == "MaxPool":
        return f"{_f_pad(begin, end, f', value={window.filler or _INFINITE}')}, padding=0{more}"
    return f"{_f_pad(begin, end)}, padding=0{more}" if window.counted else None


def _misfits(window: Window) -> bool:
    """Whether no window fits, or how many do is not agreed on, although the size is known."""
    sizes, counts = window.size, window.output
    if sizes is None or counts is None:
        return False
    return any(n is not None and (c is None or c < 1) for n, c in zip(sizes, counts, strict=True))


def _rounds_up(window: Window) -> bool | None:
    """Whether the pool's output is rounded up; ``None`` where that is not agreed on."""
    if not window.ceil or window.auto_pad.startswith("SAME"):
        return False
    if window.auto_pad != "VALID":
        return True
    return False if window.size is not None and None not in window.size else None


def _counts_alike(window: Window, end: Ints) -> bool:
    """Whether as many windows fit if the padding is part of the input, which matters to ``ceil_mode``."""
    if not window.ceil or window.auto_pad != "NOTSET":
        return True
    both, sizes, output = window.total, window.size, window.output
    for axis in (axis for axis, last in enumerate(end) if last):
        size = None if sizes is None else sizes[axis]
        if size is None or both is None or output is None:
            return False
        if window.windows_in(axis, size + both[0][axis], end[axis], end[axis]) != output[axis]:
            return False
    return True


def _torch_transposed(window: Window, begin: Ints, end: Ints) -> str | None:
    extra = window.extra or (0,) * len(begin)
    adds, cuts = [], []
    for axis, (first, last) in enumerate(zip(begin, end, strict=True)):
        more = first - last + extra[axis]
        most = max((window.strides or ())[axis], (window.dilations or ())[axis])
        if more >= most:
            return None
        adds.append(max(0, more))
        cuts.append(max(0, -more))
    said = f"padding={_tuple(begin)}"
    if any(adds):
        said += f", output_padding={_tuple(adds)}"
    return f"{said}; {_cut((0,) * len(cuts), cuts)}" if any(cuts) else said


def keras(window: Window) -> str | None:
    """Keras's spelling of the whole padding of a window, a folded Pad included."""
    both, spans, strides, dilations = window.total, window.spans, window.strides, window.dilations
    if strides is None or dilations is None or not 0 < len(strides) <= _MOST_AXES or not window.agreed:
        return None
    if max(dilations) > 1 and (max(strides) > 1 or window.like not in _CONVS):
        return None
    if window.like in ("MaxUnpool", "DeformConv", "LpPool"):
        return None
    if both is None:
        return _same_at_any_size(window, spans, strides)
    begin, end = both
    if min(*begin, *end) < 0:
        return None
    if window.like == "ConvTranspose":  # Keras's has no groups
        return None if spans is None or window.group > 1 else _keras_transposed(window, begin, end, spans)
    if window.like in _CONVS:
        return _keras_layer(window, begin, end, zeros=True, same=True)
    reached = _end_of_pool(window, begin, end)
    if reached is None:
        return None
    counted = window.counted and (any(begin) or any(end))
    averages = window.like == "AveragePool"
    return _keras_layer(window, begin, reached, zeros=counted, same=not (averages and counted))


def _end_of_pool(window: Window, begin: Ints, end: Ints) -> Ints | None:
    """What a pool pads after, as far as its windows reach; ``None`` where Keras has no such pool."""
    if _misfits(window) or _rounds_up(window) is None or window.spans is None:
        return None
    overhang = window.overhang or (None,) * len(end)
    if window.ceil and None in overhang:
        return None
    reached = tuple(over or 0 for over in overhang)
    if any(reached) and window.counted and (any(begin) or any(end)):
        return None
    return tuple(e + more for e, more in zip(end, reached, strict=True))


def _keras_layer(window: Window, begin: Ints, end: Ints, *, zeros: bool, same: bool) -> str | None:
    """A padding in Keras's words.  ``zeros``: it may be written as zeros in front; ``same``: as what SAME pads."""
    if not any(begin) and not any(end):
        return "padding='valid'"
    spans, strides = window.spans, window.strides or ()
    if spans is not None and same and _is_same(window.size, strides, spans, begin, end):
        return "padding='same'"
    if window.like == "MaxPool":
        pairs = _pairs((0, *begin, 0), (0, *end, 0))
        return f"keras.ops.pad(x, {pairs}, constant_values={window.filler or _INFINITE}), padding='valid'"
    return f"ZeroPadding{len(begin)}D({_pairs(begin, end)}), padding='valid'" if zeros else None


def _same_at_any_size(window: Window, spans: Ints | None, strides: Ints) -> str | None:
    """``'same'`` where SAME_UPPER is what the node says, although what that is depends on the size."""
    if window.auto_pad != "SAME_UPPER" or window.before is not None or window.like == "ConvTranspose":
        return None
    if _reads_inside(strides, spans):
        return None
    if window.like not in _CONVS:
        smaller = spans is None or any(span < s for span, s in zip(spans, strides, strict=True))
        if smaller or (window.like == "AveragePool" and window.counted):
            return None
    return "padding='same'"


def _reads_inside(strides: Ints, spans: Ints | None) -> bool:
    """Whether TensorFlow's SAME may begin inside the input: its 3D operators do, where a window is smaller than the
    stride."""
    return len(strides) == 3 and (spans is None or any(a < b for a, b in zip(spans, strides, strict=True)))


def _is_same(size: Dims | None, strides: Ints, spans: Ints, begin: Ints, end: Ints) -> bool:
    if _reads_inside(strides, spans):
        return False
    lengths = size or (None,) * len(begin)
    return all(
        (stride == 1 or length is not None) and same(length, stride, span, True) == (first, last)
        for length, stride, span, first, last in zip(lengths, strides, spans, begin, end, strict=True)
    )


def _keras_transposed(window: Window, begin: Ints, end: Ints, spans: Ints) -> str | None:
    strides, extra = window.strides or (), window.extra or (0,) * len(begin)
    lasts = tuple(e - more for e, more in zip(end, extra, strict=True))
    cuts, steps = list(zip(begin, lasts, strict=True)), list(zip(spans, strides, strict=True))
    if cuts == [(0, -max(0, stride - span)) for span, stride in steps]:
        return "padding='valid'"
    if cuts == [_cut_by_same(span, stride, stride) for span, stride in steps]:
        return "padding='same'"
    if not any(begin) and all(0 <= -last < stride for last, stride in zip(lasts, strides, strict=True)):
        return f"padding='valid', output_padding={_tuple([-last for last in lasts])}"
    # The last window's output is `reached` rows, of which output_padding is what is not spans % 2.
    reached = [span - first - last for span, (first, last) in zip(spans, cuts, strict=True)]
    adds = [rows - span % 2 for rows, span in zip(reached, spans, strict=True)]
    fits = all(0 <= n < s and 1 <= rows <= s for n, rows, s in zip(adds, reached, strides, strict=True))
    if fits and cuts == [_cut_by_same(*step, rows) for step, rows in zip(steps, reached, strict=True)]:
        return f"padding='same', output_padding={_tuple(adds)}"
    if min(lasts) < 0:
        return None
    plain = all(span >= stride for span, stride in steps)
    before = "padding='valid'" if plain else "padding='valid', output_padding=0"
    return f"{before}; Cropping{len(begin)}D({_pairs(begin, lasts)})"


def _cut_by_same(span: int, stride: int, reached: int) -> Sides:
    """What ``'same'`` cuts where the last window adds ``reached`` rows to the output."""
    first = max(0, span - reached) // 2
    return first, span - reached - first


def torch_pad(begin: Ints, end: Ints, mode: str, value: str, shape: Dims | None) -> str | None:
    """PyTorch's spelling of a Pad node; ``value`` is the constant as Python writes it, empty where it is not known."""
    rank = len(begin)
    if not 0 < rank <= _SHOWN_AXES:
        return None
    first = next((a for a in range(rank) if begin[a] or end[a]), rank - 1)
    if mode == "constant":
        if not value:
            return None
        more = "" if value == "0" else f", value={value}"
        return _f_pad(begin[first:], end[first:], more)
    if mode not in _TORCH_MODES or min(*begin, *end) < 0:
        return None
    # Other modes pad one, two or three last axes of a value with one or two axes more.
    count = next((n for n in (rank - 2, rank - 1) if rank - first <= n and 1 <= n <= _MOST_AXES), None)
    if count is None or not _fits(begin, end, mode, shape):
        return None
    return _f_pad(begin[rank - count :], end[rank - count :], f", mode='{_TORCH_MODES[mode]}'")


def _fits(begin: Ints, end: Ints, mode: str, shape: Dims | None) -> bool:
    """Whether the amounts are known not to be more than the input can give."""
    if mode == "edge":
        return True
    room = 1 if mode == "reflect" else 0
    for axis, most in enumerate(max(b, e) for b, e in zip(begin, end, strict=True)):
        size = shape[axis] if shape is not None and len(shape) == len(begin) else None
        if most and (size is None or most > size - room):
            return False
    return True


def keras_pad(begin: Ints, end: Ints, mode: str, value: str, shape: Dims | None) -> str | None:
    """Keras's spelling of a Pad node, in the node's own order of axes."""
    if not 0 < len(begin) <= _SHOWN_AXES or min(*begin, *end) < 0:
        return None
    pairs = _pairs(begin, end) if len(begin) > 1 else f"({_pairs(begin, end)},)"
    if mode == "constant" and value:
        more = "" if value == "0" else f", constant_values={value}"
    elif mode == "reflect" and _fits(begin, end, mode, shape):
        more = ", mode='reflect'"
    else:
        return None
    return f"keras.ops.pad(x, {pairs}{more})"
