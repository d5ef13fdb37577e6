"""Healthy one-liners of PyTorch in which the bound may be derived too narrowly: everything must agree.

Scalars, what is computed of parameters, tables, masks, interpolation, windows, half precision, norms, activations:

    triangulate verify scripts/sweeps/torch_bounds.py --seed 3
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from onnx_triangulate import Case, Tensor


def real(axes: str, shape: tuple[int, ...], low: float = -2, high: float = 2, dtype: str = "float32") -> Tensor:
    return Tensor(axes, shape, dtype, low=low, high=high, integers=False)


FLAT = {"x": real("n c", (8, 16))}
POSITIVE = {"x": real("n c", (8, 16), 0.25, 4)}
SEQUENCE = {"x": real("n t c", (2, 6, 8))}
IMAGE = {"x": real("n c h w", (1, 3, 6, 6))}
HALF = {"x": real("n c", (8, 16), dtype="float16")}

Forward = Callable[..., Any]
_cases: list[Case] = []


def module(forward: Forward, start: Callable[[Any, Any], None] | None) -> Callable[[Any], Any]:
    def build(torch: Any) -> Any:
        class Net(torch.nn.Module):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                torch.manual_seed(0)
                if start is not None:
                    start(self, torch)

            def forward(self, *given: Any) -> Any:
                return forward(self, torch, *given)

        return Net()

    return build


def case(name: str, inputs: dict[str, Tensor], forward: Forward, start: Any = None) -> None:
    _cases.append(Case(name, inputs=inputs, builders={"torch": module(forward, start)}))


def held(**made: Callable[[Any], Any]) -> Callable[[Any, Any], None]:
    """Parameters or layers of the module, by name."""

    def start(net: Any, torch: Any) -> None:
        for name, make in made.items():
            value = make(torch)
            setattr(net, name, torch.nn.Parameter(value) if torch.is_tensor(value) else value)

    return start


for index, scalar in enumerate((0.1, 0.3, 1.7, math.pi, 1e-3, 123.456, -0.7, 1 / 3)):
    case(f"mul_{index}", FLAT, lambda s, t, x, v=scalar: x * v)
    case(f"add_{index}", FLAT, lambda s, t, x, v=scalar: x + v)
    case(f"rsub_{index}", FLAT, lambda s, t, x, v=scalar: v - x)
    case(f"div_{index}", FLAT, lambda s, t, x, v=scalar: x / v)
for slope in (0.01, 0.17, 0.2, 0.33):
    case(f"leaky_{slope}", FLAT, lambda s, t, x, v=slope: t.nn.functional.leaky_relu(x, v))
case("rdiv", POSITIVE, lambda s, t, x: 0.7 / x)
case("relu_scaled", FLAT, lambda s, t, x: t.relu(x * 0.3))
case("affine", FLAT, lambda s, t, x: x * 0.1 + 0.3)
case("chain", FLAT, lambda s, t, x: ((x * 0.1 + 0.3) * 0.7 - 0.2) / 1.3)
case("square", FLAT, lambda s, t, x: 0.5 * (x - 0.1) ** 2)
case("cube", FLAT, lambda s, t, x: x + 0.044715 * x**3)
case("power", POSITIVE, lambda s, t, x: x**0.3)
case("clamp", FLAT, lambda s, t, x: t.clamp(x, -0.3, 0.7))
case("hardtanh", FLAT, lambda s, t, x: t.nn.functional.hardtanh(x, -0.3, 0.4))
case("addcmul", FLAT, lambda s, t, x: t.addcmul(x, x, x, value=0.3))
case("lerp", FLAT, lambda s, t, x: t.lerp(x, x * x, 0.3))
case("add_alpha", FLAT, lambda s, t, x: t.add(x, x.abs(), alpha=0.3))
case("full", FLAT, lambda s, t, x: x * t.full((16,), 0.3))
case("full_like", FLAT, lambda s, t, x: x + t.full_like(x, 0.1))
case("tensor", FLAT, lambda s, t, x: x * t.tensor([0.1, 0.2, 0.3, 0.7] * 4))
case("linspace", FLAT, lambda s, t, x: x * t.linspace(0, 1, 16))
case("arange", FLAT, lambda s, t, x: x * (t.arange(16, dtype=x.dtype) * 0.1))
case("arange_step", FLAT, lambda s, t, x: x + t.arange(0, 1.6, 0.1)[:16])
case("hann", FLAT, lambda s, t, x: x * t.hann_window(16))
case("blackman", FLAT, lambda s, t, x: x * t.blackman_window(16))
case("outer", FLAT, lambda s, t, x: x @ t.outer(t.linspace(0, 1, 16), t.linspace(0.1, 0.7, 5)))
case("eye", FLAT, lambda s, t, x: x @ (t.eye(16) * 0.9 + 0.1))
case("where", FLAT, lambda s, t, x: t.where(x > 0, x, 0.1))
case("masked", FLAT, lambda s, t, x: x.masked_fill(x > 1, -0.1))
case("rows", FLAT, lambda s, t, x: x / (x.sum(1, keepdim=True).abs() + 0.1))
case("standard", FLAT, lambda s, t, x: (x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True) + 1e-5))
case("rms", FLAT, lambda s, t, x: x * t.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))
case("temperature", FLAT, lambda s, t, x: t.softmax(x / 0.7, dim=1))
case("cosine", FLAT, lambda s, t, x: t.cos(x * 0.3) + t.sin(x * 1.7))
case("logit", FLAT, lambda s, t, x: t.logit(t.sigmoid(x) * 0.9 + 0.05))
case("decibel", POSITIVE, lambda s, t, x: 10 * t.log10(x + 1e-6))

case("clip_scale", FLAT, lambda s, t, x: x * t.exp(s.p), held(p=lambda t: t.tensor(2.6593)))
case("softplus_p", FLAT, lambda s, t, x: x * t.nn.functional.softplus(s.w), held(w=lambda t: t.randn(16)))
case("sigmoid_p", FLAT, lambda s, t, x: x * t.sigmoid(s.w), held(w=lambda t: t.randn(16)))
case("tanh_p", FLAT, lambda s, t, x: x @ t.tanh(s.w), held(w=lambda t: t.randn(16, 5)))
case("exp_p", FLAT, lambda s, t, x: x - t.exp(s.w * 0.5), held(w=lambda t: t.randn(16)))
case("gate_p", FLAT, lambda s, t, x: t.sigmoid(s.p) * x + (1 - t.sigmoid(s.p)) * x * x, held(p=lambda t: t.tensor(0.3)))
case("softmax_p", FLAT, lambda s, t, x: x @ t.softmax(s.w, 0), held(w=lambda t: t.randn(16, 4)))
case("normal_p", FLAT, lambda s, t, x: x @ t.nn.functional.normalize(s.w, dim=0), held(w=lambda t: t.randn(16, 4)))
case("product_p", FLAT, lambda s, t, x: x @ (s.a @ s.b), held(a=lambda t: t.randn(16, 2), b=lambda t: t.randn(2, 6)))
case(
    "lora",
    FLAT,
    lambda s, t, x: s.l(x) + 0.3 * (x @ s.a @ s.b),
    held(l=lambda t: t.nn.Linear(16, 6), a=lambda t: t.randn(16, 2), b=lambda t: t.randn(2, 6)),
)
case(
    "weight_norm",
    FLAT,
    lambda s, t, x: s.l(x),
    held(l=lambda t: t.nn.utils.parametrizations.weight_norm(t.nn.Linear(16, 3))),
)
case("mean_p", FLAT, lambda s, t, x: s.l(x) - s.l.weight.mean(), held(l=lambda t: t.nn.Linear(16, 3)))
case(
    "standard_conv",
    IMAGE,
    lambda s, t, x: t.nn.functional.conv2d(
        x, (s.w - s.w.mean((1, 2, 3), True)) / (s.w.std((1, 2, 3), keepdim=True) + 1e-5)
    ),
    held(w=lambda t: t.randn(4, 3, 3, 3)),
)
case("inverse", FLAT, lambda s, t, x: x / (s.w * s.w + 0.1), held(w=lambda t: t.randn(16)))
case("cumulative", FLAT, lambda s, t, x: x + t.cumsum(t.exp(s.w), 0), held(w=lambda t: t.randn(16)))

case(
    "sinusoids",
    SEQUENCE,
    lambda s, t, x: x + t.sin(t.arange(6, dtype=x.dtype)[:, None] * t.exp(t.arange(8, dtype=x.dtype) * -0.7)),
)
case(
    "rotary",
    SEQUENCE,
    lambda s, t, x: x * t.cos(t.arange(6, dtype=x.dtype)[:, None] / 10000 ** (t.arange(8, dtype=x.dtype) / 8)),
)
case(
    "alibi",
    SEQUENCE,
    lambda s, t, x: (
        t.softmax(x @ x.transpose(1, 2) / math.sqrt(8) - 0.3 * (t.arange(6)[:, None] - t.arange(6)).abs(), -1) @ x
    ),
)
case("decay", SEQUENCE, lambda s, t, x: x * (0.9 ** t.arange(6, dtype=x.dtype))[:, None])
case("table", SEQUENCE, lambda s, t, x: x + s.e(t.arange(6)), held(e=lambda t: t.nn.Embedding(6, 8)))
case(
    "causal",
    SEQUENCE,
    lambda s, t, x: t.softmax((x @ x.transpose(1, 2)).masked_fill(t.ones(6, 6).triu(1).bool(), float("-inf")), -1) @ x,
)
case(
    "causal_min",
    SEQUENCE,
    lambda s, t, x: (
        t.softmax((x @ x.transpose(1, 2)).masked_fill(t.ones(6, 6).triu(1).bool(), t.finfo(x.dtype).min), -1) @ x
    ),
)
case("causal_1e9", SEQUENCE, lambda s, t, x: t.softmax((x @ x.transpose(1, 2)) + t.ones(6, 6).triu(1) * -1e9, -1) @ x)
case(
    "attention",
    SEQUENCE,
    lambda s, t, x: t.nn.functional.scaled_dot_product_attention(x[:, None], x[:, None], x[:, None]),
)
case(
    "heads",
    SEQUENCE,
    lambda s, t, x: s.a(x, x, x)[0],
    held(a=lambda t: t.nn.MultiheadAttention(8, 2, batch_first=True)),
)
case("finfo_min", FLAT, lambda s, t, x: x.masked_fill(x > 0, t.finfo(x.dtype).min))
case("finfo_eps", FLAT, lambda s, t, x: x / (x.abs() + t.finfo(x.dtype).eps))
case("finfo_tiny", POSITIVE, lambda s, t, x: t.log(x + t.finfo(x.dtype).tiny))
case("nan_to_num", FLAT, lambda s, t, x: t.nan_to_num(x / t.relu(x)))

for mode in ("nearest", "bilinear", "bicubic"):
    corners = {} if mode == "nearest" else {"align_corners": False}
    case(f"{mode}_17", IMAGE, lambda s, t, x, m=mode: t.nn.functional.interpolate(x, scale_factor=1.7, mode=m))
    case(f"{mode}_size", IMAGE, lambda s, t, x, m=mode: t.nn.functional.interpolate(x, size=(9, 7), mode=m))
    case(f"{mode}_half", IMAGE, lambda s, t, x, m=mode: t.nn.functional.interpolate(x, scale_factor=0.5, mode=m))
    case(
        f"{mode}_2",
        IMAGE,
        lambda s, t, x, m=mode, c=corners: t.nn.functional.interpolate(x, scale_factor=2, mode=m, **c),
    )
case(
    "bilinear_corners",
    IMAGE,
    lambda s, t, x: t.nn.functional.interpolate(x, size=(11, 13), mode="bilinear", align_corners=True),
)
case("linear_1d", SEQUENCE, lambda s, t, x: t.nn.functional.interpolate(x, size=13, mode="linear"))
case(
    "grid",
    IMAGE,
    lambda s, t, x: t.nn.functional.grid_sample(
        x,
        t.stack(t.meshgrid(t.linspace(-0.9, 0.9, 5), t.linspace(-0.7, 0.7, 4), indexing="ij"), -1)[None],
        align_corners=False,
    ),
)

ACTIVATIONS = (
    "celu elu gelu hardshrink hardsigmoid hardswish logsigmoid mish relu relu6 selu silu softplus softshrink softsign "
    "tanh tanhshrink sigmoid"
)
for name in ACTIVATIONS.split():
    case(f"act_{name}", FLAT, lambda s, t, x, n=name: getattr(t.nn.functional, n)(x))
case("act_gelu_tanh", FLAT, lambda s, t, x: t.nn.functional.gelu(x, approximate="tanh"))
case("act_elu_03", FLAT, lambda s, t, x: t.nn.functional.elu(x, 0.3))
case("act_softplus_b", FLAT, lambda s, t, x: t.nn.functional.softplus(x, beta=1.3))
case("act_quick_gelu", FLAT, lambda s, t, x: x * t.sigmoid(1.702 * x))
case("act_prelu", FLAT, lambda s, t, x: s.l(x), held(l=lambda t: t.nn.PReLU(init=0.17)))
case("act_glu", FLAT, lambda s, t, x: t.nn.functional.glu(x, 1))
case("act_softmax", FLAT, lambda s, t, x: t.softmax(x * 3, 1))
case("act_log_softmax", FLAT, lambda s, t, x: t.log_softmax(x * 3, 1))


def layer(make: Callable[[Any], Any]) -> Callable[[Any, Any], None]:
    return held(l=lambda t: make(t.nn))


NORMS: dict[str, tuple[Callable[[Any], Any], dict[str, Tensor]]] = {
    "batch": (lambda n: n.BatchNorm2d(3, eps=1e-3), IMAGE),
    "group": (lambda n: n.GroupNorm(3, 3), IMAGE),
    "instance": (lambda n: n.InstanceNorm2d(3), IMAGE),
    "layer": (lambda n: n.LayerNorm(16), FLAT),
    "layer_12": (lambda n: n.LayerNorm(16, eps=1e-12), FLAT),
    "local": (lambda n: n.LocalResponseNorm(2), IMAGE),
    "conv": (lambda n: n.Conv2d(3, 4, 3), IMAGE),
    "conv_t": (lambda n: n.ConvTranspose2d(3, 4, 3, 2), IMAGE),
    "avg_pool": (lambda n: n.AvgPool2d(3, 2, 1), IMAGE),
    "avg_pool_in": (lambda n: n.AvgPool2d(3, 2, 1, count_include_pad=False), IMAGE),
    "adaptive": (lambda n: n.AdaptiveAvgPool2d(2), IMAGE),
    "adaptive_1": (lambda n: n.AdaptiveAvgPool2d(1), IMAGE),
    "max_pool": (lambda n: n.MaxPool2d(2), IMAGE),
    "linear": (lambda n: n.Linear(16, 5), FLAT),
    "hardswish": (lambda n: n.Hardswish(), IMAGE),
    "softmax2d": (lambda n: n.Softmax2d(), IMAGE),
}
for name, (made, fed) in NORMS.items():
    case(f"layer_{name}", fed, lambda s, t, x: s.l(x), layer(made))


def stack(activation: str, depth: int) -> Callable[[Any], Any]:
    def make(torch: Any) -> Any:
        layers: list[Any] = []
        for _ in range(depth):
            layers += [
                torch.nn.Conv2d(3, 3, 3, padding=1, bias=False),
                torch.nn.BatchNorm2d(3),
                getattr(torch.nn, activation)(),
            ]
        return torch.nn.Sequential(*layers)

    return make


for name, depth in (("ReLU", 1), ("Hardswish", 3), ("SiLU", 3), ("Hardsigmoid", 3), ("LeakyReLU", 4), ("GELU", 4)):
    case(f"stack_{name}", IMAGE, lambda s, t, x: s.l(x), held(l=stack(name, depth)))
case("lstm", SEQUENCE, lambda s, t, x: s.l(x)[0], held(l=lambda t: t.nn.LSTM(8, 5, batch_first=True)))
case("gru", SEQUENCE, lambda s, t, x: s.l(x)[0], held(l=lambda t: t.nn.GRU(8, 5, batch_first=True)))
case(
    "encoder",
    SEQUENCE,
    lambda s, t, x: s.l(x),
    held(l=lambda t: t.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)),
)
case("einsum", SEQUENCE, lambda s, t, x: t.einsum("ntc,nsc->nts", x, x) * 0.3)
case("std", FLAT, lambda s, t, x: t.std(x, 1))
case("var", FLAT, lambda s, t, x: t.var(x, 1))
case("norm", FLAT, lambda s, t, x: t.linalg.vector_norm(x, dim=1))
case("normalize", FLAT, lambda s, t, x: t.nn.functional.normalize(x, dim=1))
case("logsumexp", FLAT, lambda s, t, x: t.logsumexp(x, 1))
case("cumsum", FLAT, lambda s, t, x: t.cumsum(x * 0.1, 1))
case("prod", POSITIVE, lambda s, t, x: t.prod(x, 1))
case("cosine_similarity", FLAT, lambda s, t, x: t.nn.functional.cosine_similarity(x, x * x + 0.1, dim=1))
case("unfold", IMAGE, lambda s, t, x: t.nn.functional.unfold(x * 0.3, 3))
case("shuffle", {"x": real("n c h w", (1, 8, 3, 3))}, lambda s, t, x: t.nn.functional.pixel_shuffle(x * 0.7, 2))
case("half_mul", HALF, lambda s, t, x: x * 0.1)
case("half_affine", HALF, lambda s, t, x: x * 0.3 + 0.1)
case("half_relu", HALF, lambda s, t, x: t.relu(x * 0.3))
case("half_to_single", HALF, lambda s, t, x: x.float() * 0.1)
case("half_inside", FLAT, lambda s, t, x: (x.half() * 0.3).float())

CASES = tuple(_cases)
