"""Where a PyTorch program rounds: counted and moved in its own trace of operators.

Design note.  A dispatch mode sees every operator that really runs, below autograd and below composite functions, with
the Python scalars and the factories (``arange``, ``full``, windows) that an exported graph may have in another form or
not at all.  It counts the roundings on the longest path, and in a perturbed run it moves

- every Python scalar that float32 cannot hold, by one rounding: float32 runs round it, a float64 run does not;
- the result of every operator that rounds, by the operator's own count of roundings.  What IEEE 754 rounds correctly
  and float32 can hold is not rounded by anybody, and is not moved.

An operator that is not in the table is counted as if it took up every number that it reads, and is named.  Results are
told apart by their storage, so that what is written into a part of a tensor counts for all of it.  What an operator
writes into its arguments is a result too; a batch normalization does that to its running statistics and its schema does
not say so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from onnx_triangulate.engines.frameworks._torch_dispatch import takes_functions
from onnx_triangulate.engines.frameworks._torch_inner_sizes import sizes
from onnx_triangulate.ops.rounding_counts import COARSEST, SUBNORMAL, TRANSCENDENTAL, interpolated
from onnx_triangulate.records.runs import Jitter

# Moves, chooses or compares numbers, gives whole ones, or draws them.
_NONE = frozenset(
    "abs adaptive_max_pool2d adaptive_max_pool3d alias amax amin any all arange argmax argmin argsort as_strided "
    "bernoulli bitwise_and bitwise_not bitwise_or bitwise_xor bucketize cat ceil channel_shuffle clamp clamp_max "
    "clamp_min clone col2im constant_pad_nd conj contiguous copy copysign cummax cummin detach diag diagonal "
    "diag_embed dropout embedding empty empty_like empty_strided eq equal eye expand eye fill flip floor "
    "floor_divide fmax fmin fmod fractional_max_pool2d full full_like gather ge glu_jvp gt hardtanh heaviside "
    "im2col index index_copy index_fill index_put index_select isfinite isinf isnan isin kthvalue le lift "
    "lift_fresh linalg_diagonal local_scalar_dense logical_and logical_not logical_or logical_xor lt masked_fill "
    "masked_scatter masked_select max max_pool2d_with_indices max_pool3d_with_indices max_unpool2d maximum median "
    "min minimum mode movedim mul_int nan_to_num narrow native_dropout ne neg new_empty new_full new_ones new_zeros "
    "nextafter nonzero normal one_hot ones ones_like permute pin_memory pixel_shuffle pixel_unshuffle rand "
    "rand_like randint randn randn_like randperm range real reflection_pad1d reflection_pad2d reflection_pad3d relu "
    "relu6 repeat repeat_interleave replication_pad1d replication_pad2d replication_pad3d reshape reshape_alias "
    "resize roll rot90 round scalar_tensor scatter searchsorted select select_scatter sgn sign signbit slice "
    "slice_scatter sort split split_with_sizes squeeze stack t take threshold tile topk transpose tril tril_indices "
    "triu triu_indices trunc unbind unfold unfold_copy uniform unique2 unique_consecutive unique_dim unsafe_split "
    "unsafe_split_with_sizes unsafe_view unsqueeze upsample_nearest1d upsample_nearest2d upsample_nearest3d "
    "upsample_nearest_exact1d upsample_nearest_exact2d view view_as_complex view_as_real view_copy where zero zeros "
    "zeros_like".split()
)
# Numbers that nothing fed decides, rounded where the type cannot hold them; their scalars say sizes and steps.
_FACTORIES = frozenset(
    "arange bartlett_window blackman_window eye fill full full_like hamming_window hann_window kaiser_window "
    "lift_fresh linspace logspace new_full range scalar_tensor".split()
)
# Of these the factories whose numbers are written down, or counted: one that float32 holds is what it is.
_WRITTEN = frozenset("arange eye fill full full_like lift_fresh new_full range scalar_tensor".split())
# IEEE 754 rounds these correctly.
_CORRECT = frozenset("add sub rsub mul div sqrt reciprocal square leaky_relu prelu_kernel prelu remainder frac".split())
_SUMS = frozenset(
    "addbmm addmm addmv addr avg_pool1d avg_pool2d avg_pool3d baddbmm bmm convolution cumsum dot ger mean mm mv "
    "nansum sum trace adaptive_avg_pool2d adaptive_avg_pool3d mkldnn_convolution convolution_overrideable".split()
)
_FIXED: Mapping[str, int] = {
    name: count
    for count, names in (
        (0, (*_NONE, "complex")),
        (1, (*_CORRECT, "softshrink")),
        (2, "hardsigmoid nll_loss_forward round_decimals".split()),
        (3, "addcdiv addcmul bartlett_window hardswish lerp linspace".split()),
        (TRANSCENDENTAL + 1, ("polar",)),
        (TRANSCENDENTAL + 2, "elu glu hann_window silu".split()),
        (TRANSCENDENTAL + 3, "celu hamming_window logspace selu".split()),
        (TRANSCENDENTAL + 8, ("gelu",)),
        (2 * TRANSCENDENTAL + 1, "log_sigmoid log_sigmoid_forward softplus".split()),
        (2 * TRANSCENDENTAL + 2, ("logaddexp",)),
        (2 * TRANSCENDENTAL + 5, ("blackman_window",)),
        (2 * TRANSCENDENTAL + 8, ("kaiser_window",)),
        (3 * TRANSCENDENTAL + 2, ("mish",)),
    )
    for name in names
}
# What a formula of several steps loses where they cancel, of its argument x and result y: x times (1 + erf ..),
# exp(x) - 1, log(1 + exp ..), (1 + tanh ..) / 2.
_CANCELS: Mapping[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(("gelu", "mish"), lambda x, _: x.abs() / 2),
    **dict.fromkeys(("celu", "elu", "selu", "softplus"), lambda x, _: x.new_full(x.shape, 0.5)),
    "sigmoid": lambda _, y: (y.abs() * COARSEST).clamp(max=1.0),
    "silu": lambda x, y: (y.abs() * COARSEST).minimum(x.abs()),
    "log_sigmoid_forward": lambda x, y: ((1 + (-x).exp()) * (x < 0) + 1.0 * (x >= 0)).minimum(
        ((x < 0) + y.abs()).clamp(max=1.0) * COARSEST
    ),
}
# Taps of an interpolation: its weights are made of coordinates, and of nothing that is fed; an exporter may fold them.
_COORDINATES: Mapping[str, int] = {
    "upsample_linear1d": 2,
    "upsample_bilinear2d": 2,
    "upsample_trilinear3d": 2,
    "upsample_bicubic2d": 4,
    "upsample_bilinear2d_aa": 2,
    "upsample_bicubic2d_aa": 4,
}
# In training (their sixth argument) these write their running statistics, which are the fourth and the fifth.
_STATISTICS = frozenset("native_batch_norm native_batch_norm_legit cudnn_batch_norm miopen_batch_norm".split())
_NOT_NUMBERS = frozenset("p dropout_p momentum correction ord dim keepdim".split())


def _last(args: Sequence[Any], place: int) -> int:
    return int(args[place].shape[-1]) if args[place].dim() else 1


def _reduced(args: Sequence[Any], made: Any) -> int:
    first = made[0] if isinstance(made, (tuple, list)) else made
    return int(max(1, args[0].numel() // max(1, first.numel())))


def _convolution(args: Sequence[Any], _: Any) -> int:
    weight, transposed, groups = args[1], bool(args[6]), int(args[8])
    if transposed:
        return int(-(-weight.numel() // max(1, weight.shape[1] * groups))) + 1
    return int(weight[0].numel()) + 1


def _along(more: int) -> Callable[[Sequence[Any], Any], int]:
    return lambda args, _: (int(args[0].shape[args[1]]) if args[0].dim() else 1) + more


def _interpolated(taps: int) -> Callable[[Sequence[Any], Any], int]:
    return lambda args, _: sum(interpolated(taps, int(d)) for d in args[0].shape[2:])


def _attention(args: Sequence[Any], _: Any) -> int:
    return int(args[0].shape[-1] + 2 * args[1].shape[-2]) + 3 * TRANSCENDENTAL


def _encoder_layer(args: Sequence[Any], _: Any) -> int:
    """Two normalizations, attention and two layers; see ``aten::_transformer_encoder_layer_fwd``."""
    wide = max((int(t.shape[0]) for t in args if hasattr(t, "dim") and t.dim() == 2), default=0)
    return 6 * int(args[0].shape[-1]) + 2 * wide + 2 * int(args[0].shape[1]) + 64


_Count = Callable[[Sequence[Any], Any], int]
_COUNTS: Mapping[str, _Count] = {  # by the operators that it is the count of
    "mm bmm mv dot linear": lambda a, _: _last(a, 0) + 1,
    "addmm addmv baddbmm": lambda a, _: _last(a, 1) + 3,
    "convolution": _convolution,
    "adaptive_avg_pool2d adaptive_avg_pool3d": lambda a, m: math.prod(a[0].shape[2:]) + 1,
    "avg_pool1d": lambda a, _: math.prod(a[1]) + 1,
    "avg_pool2d": lambda a, _: math.prod(a[1]) ** (2 if len(a[1]) == 1 else 1) + 1,
    "avg_pool3d": lambda a, _: math.prod(a[1]) ** (3 if len(a[1]) == 1 else 1) + 1,
    "sum nansum prod": _reduced,
    "mean": lambda a, m: _reduced(a, m) + 1,
    "norm linalg_vector_norm": lambda a, m: _reduced(a, m) + 2,
    "var var_mean": lambda a, m: _reduced(a, m) + 5,
    "std std_mean": lambda a, m: _reduced(a, m) + 6,
    "weight_norm_interface": lambda a, m: a[0].numel() // max(1, a[1].numel()) + 4,
    "logsumexp": lambda a, m: _reduced(a, m) + 2 * TRANSCENDENTAL + 1,
    "cumsum cumprod": _along(0),
    "softmax": _along(6),
    "log_softmax": _along(6 + TRANSCENDENTAL),
    "native_layer_norm fused_rms_norm": lambda a, _: math.prod(a[1]) + 8,
    "native_group_norm": lambda a, _: a[0].numel() // max(1, int(a[3]) * int(a[6])) + 8,
    " ".join(_STATISTICS): lambda a, _: (a[0].numel() // max(1, a[0].shape[1]) if a[5] else 0) + 8,
    "upsample_linear1d upsample_bilinear2d upsample_trilinear3d": _interpolated(2),
    "upsample_bicubic2d": _interpolated(4),
    "upsample_bilinear2d_aa": lambda a, _: sum(3 * int(d) + 6 for d in a[0].shape[2:]),
    "upsample_bicubic2d_aa": lambda a, _: sum(3 * int(d) + 10 for d in a[0].shape[2:]),
    "grid_sampler_2d grid_sampler_3d": lambda a, _: sum(9 + 2 * int(d) for d in a[0].shape[2:]),
    "scaled_dot_product_flash_attention_for_cpu scaled_dot_product_attention_math": _attention,
    "transformer_encoder_layer_fwd": _encoder_layer,
    "native_multi_head_attention": lambda a, _: 4 * int(a[0].shape[-1]) + 2 * int(a[1].shape[1]) + 32,
    "cdist_forward": lambda a, _: _last(a, 0) + 3,
    "fft_r2c fft_c2r fft_c2c": lambda a, _: 8 * max(1, a[0].numel().bit_length()),
    "local_response_norm": lambda a, _: 16,
}
_COUNTED: Mapping[str, _Count] = {name: count for names, count in _COUNTS.items() for name in names.split()}


class Roundings:
    """Counts the roundings of what runs under it and, with a jitter, moves what rounds.

    ``fed`` are the tensors that the model is given; what none of them reaches is a constant to an exporter.
    """

    def __init__(self, fed: Iterable[Any], jitter: Jitter | None = None) -> None:
        import torch

        self._passed = {storage_of(tensor): (0, True) for tensor in fed if torch.is_tensor(tensor)}
        self._jitter = jitter
        self._generator = torch.Generator().manual_seed(jitter.seed if jitter is not None else 0)
        self._places = 0
        self._most = 0
        self.unknown: dict[str, None] = {}

    def count(self, results: Any) -> int:
        """The roundings on the longest path to any of some results."""
        return max((count for count, _ in map(self._reached, _floats(results))), default=0)

    def run(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Run an operator: count it and, with a jitter, move what it makes."""
        if takes_functions(func):
            return self._run_inside(func, args, kwargs)
        kwargs = dict(kwargs)
        name = _operator(func, kwargs)
        before = [self._reached(tensor) for tensor in _tensors((args, kwargs))]
        fed = any(reached for _, reached in before)
        scalars = 0
        if name not in _FACTORIES:
            args, kwargs, scalars = self._scalars(func, args, kwargs, fed)
        read = sum(tensor.numel() for tensor in _floats((args, kwargs)))
        given = args[0] if name in _CANCELS and args else None
        if given is not None and func._schema.is_mutable:
            given = given.clone()
        made = func(*args, **kwargs)
        results = _floats(made)
        results += [t for t in written(func, args, kwargs) if not any(t is other for other in results)]
        own = self._own(name, args, made, read) if results else 0
        if name in _FACTORIES and any(not bool(_held(t).all()) for t in results):
            own = max(own, 3 if name in ("arange", "range") else 1)  # a step, times a number, and a start
        fresh = results if not func.is_view or name == "lift_fresh" else []
        self._move(name, fresh, own, args, given, fed)
        passed = max((count for count, _ in before), default=0) + own + bool(scalars)
        self._record(passed, fed, fresh, _tensors((args, kwargs)))
        self._passed |= {storage_of(t): (0, fed) for t in _tensors(made) if not t.is_floating_point()}
        return made

    def _record(self, passed: int, fed: bool, fresh: Sequence[Any], arguments: Sequence[Any]) -> None:
        """Remember how often what is ``fresh`` was rounded; what an operator wrote into was rounded before, too."""
        self._most = max(self._most, passed)
        known = {id(tensor) for tensor in arguments}
        for tensor in fresh:
            inside, reached = self._reached(tensor) if id(tensor) in known else (0, False)
            self._passed[storage_of(tensor)] = (max(inside, passed), fed or reached)

    def _reached(self, tensor: Any) -> tuple[int, bool]:
        """The roundings on the longest path to a tensor, and whether anything fed lies on a path to it."""
        return self._passed.get(storage_of(tensor), (0, False))

    def _run_inside(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Run an operator of control flow, whose functions are seen as they run.

        What it makes of their results (scan and map stack them) nobody sees: it counts as the longest path inside.
        """
        before = [self._reached(tensor) for tensor in _tensors((args, kwargs))]
        outside, self._most = self._most, max((count for count, _ in before), default=0)
        made = func(*args, **kwargs)
        for tensor in _tensors(made):
            count, reached = self._reached(tensor)
            count = max(count, self._most) if tensor.is_floating_point() else 0
            self._passed[storage_of(tensor)] = (count, reached or any(fed for _, fed in before))
        self._most = max(outside, self._most)
        return made

    def _way(self) -> float:
        """The way that the next thing is moved."""
        assert self._jitter is not None
        self._places += 1
        return self._jitter.way(self._places)

    def _scalars(self, func: Any, args: Any, kwargs: dict[str, Any], fed: bool) -> tuple[Any, dict[str, Any], int]:
        """The arguments with each Python scalar moved that float32 cannot hold, written or by default, and how many."""
        import torch
        from torch.utils._pytree import tree_map

        found = 0
        # A scalar beside constants only may be folded into one, and the scalar itself is a constant in any case.
        moving = self._jitter is not None and self._jitter.what != "inputs"

        def moved(value: Any) -> Any:
            nonlocal found
            if not isinstance(value, float) or isinstance(value, bool) or _plain(value):
                return value
            found += 1
            if not moving:
                return value
            sign = 1.0 if int(torch.randint(0, 2, (), generator=self._generator)) else -1.0
            return value * (1 + self._way() * sign * self._step(torch.float64))

        parameters = func._schema.arguments
        args = tuple(
            tree_map(moved, value) if parameter.name not in _NOT_NUMBERS else value
            for value, parameter in zip(args, parameters, strict=False)
        )
        kwargs = {n: tree_map(moved, v) if n not in _NOT_NUMBERS else v for n, v in kwargs.items()}
        for parameter in parameters[len(args) :]:
            default = parameter.default_value if parameter.has_default_value() else None
            if isinstance(default, float) and parameter.name not in kwargs and parameter.name not in _NOT_NUMBERS:
                value = moved(default)
                if value != default:
                    kwargs[parameter.name] = value
        return args, kwargs, found

    def _step(self, dtype: Any) -> float:
        import torch

        assert self._jitter is not None
        still = not self._jitter.step
        return self._jitter.step if still or dtype == torch.float64 else torch.finfo(dtype).eps

    def _own(self, name: str, args: Any, made: Any, read: int) -> int:
        if name == "to_copy":
            result = made
            return int(args[0].dtype != result.dtype and _bits(args[0].dtype) > _bits(result.dtype))
        if name in ("pow", "float_power"):
            exponent = args[1] if len(args) > 1 else None
            whole = isinstance(exponent, (int, float)) and float(exponent) in (0.5, 1.0, 2.0, -1.0)
            return 1 if whole else TRANSCENDENTAL
        if name in ("add", "sub", "rsub") and len(args) > 2:
            return 2
        if name in ("scatter_add", "index_add", "scatter_reduce"):
            return max(1, read // max(1, int(args[0].numel())))
        if name in _FIXED:
            return _FIXED[name]
        if name in _COUNTED:
            try:
                return _COUNTED[name](args, made)
            except (IndexError, TypeError, AttributeError, ValueError):
                pass  # called in a way that the table does not know
        if name in _ELEMENTARY:
            return TRANSCENDENTAL
        self.unknown[name] = None
        return read + TRANSCENDENTAL

    def _move(self, name: str, results: Sequence[Any], own: int, args: Any, given: Any, fed: bool) -> None:
        """Move the results in place by their own roundings."""
        import torch

        if name in _COORDINATES:  # constants, whatever is interpolated
            own, fed = 3 * (_COORDINATES[name] // 2) * max(int(d) for d in args[0].shape[2:]), False
        if not own or self._jitter is None or not self._jitter.moves(fed):
            return
        inside = sizes(name, args, results, own * self._step(results[0].dtype)) if results else []
        for tensor, rounded in zip(results, inside, strict=True):
            whole = name in _SUMS and bool((tensor == tensor.round()).all()) and _whole(args)
            way, step = self._way(), self._step(tensor.dtype)
            signs = torch.randint(0, 2, tensor.shape, generator=self._generator, dtype=torch.int8)
            size = _rounded_size(name, tensor, rounded, args, given)
            change = (signs.to(size.dtype) * 2 - 1) * (size * (own * step * way) + SUBNORMAL)
            change = change.where(tensor.isfinite(), torch.zeros((), dtype=change.dtype))
            if tensor.dtype == torch.float64 and (name in _CORRECT or name in _WRITTEN or whole):
                change = change.masked_fill(_held(tensor), 0.0)
            tensor.add_(change.to(tensor.dtype))


def _operator(func: Any, kwargs: Mapping[str, Any]) -> str:
    """The name by which the tables know an operator."""
    name: str = func._schema.name.rpartition("::")[2].strip("_")
    return "round_decimals" if name == "round" and kwargs.get("decimals") else name  # times a power of ten and back


def _rounded_size(name: str, tensor: Any, rounded: Any, args: Any, given: Any) -> Any:
    """The size of the numbers that an operator rounds for a result: the result's own, or that of what is ``rounded``
    inside; ``given`` is the argument of a formula that cancels."""
    import torch

    if name in _COORDINATES:  # a weight near 0 is as far off as its neighbour's, which is near 1
        return args[0].abs().amax(tuple(range(2, tensor.dim())), keepdim=True).expand(tensor.shape)
    size = tensor.abs()
    if name in _CANCELS and given is not None and given.shape == tensor.shape:
        size = torch.maximum(size, _CANCELS[name](given, tensor).to(size.dtype))
    if rounded is not None:
        size = torch.maximum(size, rounded.to(size.dtype).where(rounded.isfinite(), 0.0))
    return size.clamp(min=0.5) if name.endswith("_window") else size  # a window is a sum that cancels at its ends


_ELEMENTARY = frozenset(
    "acos acosh asin asinh atan atan2 atanh cos cosh digamma erf erfc erfinv exp exp2 expm1 hypot i0 lgamma log "
    "log10 log1p log2 logit rsqrt sigmoid sin sinc sinh special_erfcx special_ndtr special_xlog1py tan tanh "
    "xlogy".split()
)


def storage_of(tensor: Any) -> int:
    """What tells apart tensors that do not share their numbers."""
    try:
        return int(tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):  # a tensor without a storage of its own
        return id(tensor)


def written(func: Any, args: Any, kwargs: Mapping[str, Any]) -> list[Any]:
    """The floats among the arguments that an operator writes into."""
    if func._schema.name.rpartition("::")[2].strip("_") in _STATISTICS:
        return _floats(args[3:5]) if args[5] else []
    if not func._schema.is_mutable:
        return []
    given = {parameter.name: value for parameter, value in zip(func._schema.arguments, args, strict=False)} | {**kwargs}
    parameters = [each for each in func._schema.arguments if each.alias_info is not None and each.alias_info.is_write]
    return _floats([given[each.name] for each in parameters if each.name in given])


def _tensors(values: Any) -> list[Any]:
    import torch
    from torch.utils._pytree import tree_leaves

    return [leaf for leaf in tree_leaves(values) if torch.is_tensor(leaf)]


def _floats(values: Any) -> list[Any]:
    return [tensor for tensor in _tensors(values) if tensor.is_floating_point()]


def _bits(dtype: Any) -> int:
    """Digits of a type, in bits; those of integers are counted by what they may need."""
    import torch

    return 1 - round(math.log2(torch.finfo(dtype).eps)) if dtype.is_floating_point else int(dtype.itemsize) * 8


def _plain(value: float) -> bool:
    """Whether float32 holds a number, or it is none."""
    return not math.isfinite(value) or abs(value) > 3.4e38 or float(np.float32(value)) == value


def _held(tensor: Any) -> Any:
    """Where float32 holds what is there."""
    return tensor == tensor.float().to(tensor.dtype)


def _whole(args: Any) -> bool:
    """Whether all floats are whole and so small that sums of their products are exact."""
    return all(t.numel() and bool((t == t.round()).all()) and float(t.abs().max()) <= 2.0**8 for t in _floats(args))
