"""Healthy small models in torch: what each exporter and runtime does with them is right.

    triangulate verify scripts/judgement/healthy_torch.py::scalars_00

A line is a model: an expression of its inputs ``x``, ``y``, the module ``s`` (its parameters and layers), ``t``
(torch) and ``F`` (its functions).  :mod:`judgement.establish` says of each whether it is healthy, without this project.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from onnx_triangulate import Case, Tensor


def real(axes: str, *shape: int, low: float = -2, high: float = 2, dtype: str = "float32") -> Tensor:
    return Tensor(axes, shape, dtype, low=low, high=high, integers=False)


def whole(axes: str, *shape: int, low: int = 0, high: int = 4, dtype: str = "int64") -> Tensor:
    return Tensor(axes, shape, dtype, low=low, high=high)


Start = Callable[[Any, Any], None]


def builder(text: str, start: Start | None, names: tuple[str, ...], half: str = "") -> Callable[[Any], Any]:
    code = compile(text, f"<{text}>", "eval")

    def build(torch: Any) -> Any:
        class Net(torch.nn.Module):  # type: ignore[misc]  # the framework is an argument, its classes have no type
            def __init__(self) -> None:
                super().__init__()
                if start is not None:
                    start(self, torch)
                if half:
                    self.to(getattr(torch, half))

            def forward(self, *given: Any) -> Any:
                known = {"s": self, "t": torch, "nn": torch.nn, "F": torch.nn.functional, "math": math}
                return eval(code, known | dict(zip(names, given, strict=True)))  # noqa: S307  # lines of this file

        return Net()

    return build


def group(
    name: str, inputs: Mapping[str, Tensor], lines: str, start: Start | None = None, half: str = ""
) -> Iterator[Case]:
    for number, text in enumerate(line.strip() for line in lines.strip().splitlines()):
        build = builder(text, start, tuple(inputs), half)
        yield Case(f"{name}_{number:02d}", inputs=inputs, builders={"torch": build}, note=text)


def parameters(s: Any, t: Any) -> None:
    nn, norms = t.nn, t.nn.utils.parametrizations
    s.w, s.v = nn.Parameter(t.randn(6)), nn.Parameter(t.rand(6) + 0.5)
    s.m, s.c = nn.Parameter(t.randn(5, 6)), nn.Parameter(t.tensor(2.6592))
    s.normed = norms.weight_norm(nn.Linear(6, 4))
    s.spectral = norms.spectral_norm(nn.Linear(6, 4))
    s.orthogonal = norms.orthogonal(nn.Linear(6, 4))
    s.table = nn.Embedding(9, 6)
    s.register_buffer("held", t.linspace(0, 1, 6))


def layers(s: Any, t: Any) -> None:
    nn = t.nn
    s.conv, s.same, s.point = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3, padding="same"), nn.Conv2d(3, 4, 1, bias=False)
    s.strided = nn.Conv2d(3, 6, (3, 2), stride=(2, 1), padding=(1, 0))
    s.grouped, s.depth = nn.Conv2d(3, 6, 3, groups=3), nn.Conv2d(3, 3, 3, padding=1, groups=3)
    s.dilated = nn.Conv2d(3, 4, 3, dilation=2, padding=2)
    s.mirror = nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")
    s.up = nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1)
    s.batch, s.groups, s.instance = nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.InstanceNorm2d(4, affine=True)
    s.first, s.layer = nn.BatchNorm2d(3), nn.LayerNorm((3, 8, 10))
    s.tight = nn.BatchNorm2d(3, eps=1e-3, affine=False)
    s.slopes = nn.PReLU(3)
    s.flat = nn.Linear(240, 5)
    for norm in (s.batch, s.first, s.tight):
        nn.init.normal_(norm.running_mean, 0, 0.3)
        nn.init.uniform_(norm.running_var, 0.5, 1.5)
    for norm in (s.batch, s.groups, s.instance, s.first, s.layer):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, 0, 0.2)


def sequences(s: Any, t: Any) -> None:
    nn = t.nn
    s.table, s.places = nn.Embedding(11, 8), nn.Embedding(7, 8)
    s.q, s.k, s.v = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)
    s.norm, s.dense, s.tied = nn.LayerNorm(8, eps=1e-12), nn.Linear(8, 6), nn.Linear(8, 11, bias=False)
    s.rms = nn.RMSNorm(8)
    s.gru, s.lstm = nn.GRU(8, 5, batch_first=True), nn.LSTM(8, 5, batch_first=True, bidirectional=True)
    s.rnn = nn.RNN(8, 5, batch_first=True)
    s.attention = nn.MultiheadAttention(8, 2, batch_first=True)
    s.tied.weight = s.table.weight


X = {"x": real("n c", 5, 6)}
POSITIVE = {"x": real("n c", 5, 6, low=0.1, high=4)}
TWO = {"x": real("n c", 5, 6), "y": real("n c", 5, 6)}
IMAGE = {"x": real("n c h w", 2, 3, 8, 10)}
TEXT = {"x": real("n t c", 2, 7, 8), "m": Tensor("n t", (2, 7), "bool")}
IDS = {"i": whole("n t", 2, 7, high=11), "m": whole("n t", 2, 7, high=2)}
WHOLE = {"i": whole("n c", 4, 6, low=-9, high=10), "x": real("n c", 4, 6)}
HALF = {"x": real("n c", 4, 6, dtype="float16")}

SCALARS = """
x * 0.1
0.3 - x
x + 1e-3
x / 0.7
1.7 / (x * x + 0.3)
x * math.pi
x * 0.1 + 0.2
(x - 0.485) / 0.229
x * 3
x * 1.1 - 1.1
2.2 * x - 0.7 * x
x / 3
x / 255.0
x * 2 ** -0.5
(x + 0.1) * (x - 0.1)
x ** 2
x ** 3 * 0.044715
(x * x + 0.1) ** 0.5
(x * x + 0.1) ** -0.5
(x * x + 0.1) ** 0.3
x * (1.0 / 3.0)
t.add(x, 0.1, alpha=0.3)
t.sub(x, x * x, alpha=0.7)
t.rsub(x, 0.9)
t.addcmul(x, x, x, value=0.1)
t.addcdiv(x, x, x * x + 1, value=0.3)
t.lerp(x, x * x, 0.3)
-x * 0.01
x * 1e-6
x * 12345.678
t.where(x > 0.3, x, x * 0.3)
t.where(x > 0, 0.7, x)
t.clamp(x, -0.3, 0.7)
t.clamp(x, min=0.1)
t.clamp_max(x, 0.33)
x.masked_fill(x > 0.5, 0.1)
x.mul(0.9).add(0.1).relu()
x * x.new_tensor(0.1)
x + t.tensor([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
x * t.tensor(0.1)
t.sqrt(x * x + 1e-12)
t.log(x * x + 1e-5)
t.exp(-0.7 * x)
t.sin(x * 6.2831853)
x * 0.1 * 0.1 * 0.1
(x * 0.1).sum(1)
t.fmod(x, 0.3)
t.remainder(x, 0.7)
t.floor_divide(x, 0.7)
t.round(x * 10) / 10
t.floor(x * 4.5)
t.trunc(x * 3.3)
x.softmax(-1) * 0.9 + 0.1 / 6
"""

ACTIVATIONS = """
F.relu(x * 0.3)
F.leaky_relu(x, 0.17)
F.leaky_relu(x, 0.01)
F.elu(x, 0.7)
F.selu(x)
F.celu(x, 1.3)
F.gelu(x)
F.gelu(x, approximate="tanh")
F.silu(x)
F.mish(x)
F.softplus(x)
F.softplus(x, beta=2.3)
F.softsign(x)
F.tanhshrink(x)
F.softshrink(x, 0.3)
F.hardshrink(x, 0.3)
F.hardtanh(x, -0.7, 0.9)
F.hardswish(x)
F.hardsigmoid(x)
F.relu6(x * 4)
F.threshold(x, 0.1, 0.7)
F.rrelu(x, 0.1, 0.3)
F.glu(x, -1)
F.logsigmoid(x)
F.softmax(x, 1)
F.softmin(x, 1)
F.log_softmax(x, 0)
t.sigmoid(x)
t.tanh(x * 0.7)
t.sigmoid(1.702 * x) * x
nn.Hardswish()(x) * 0.1
nn.PReLU()(x)
x * F.relu6(x + 3) / 6
0.5 * x * (1 + t.erf(x / math.sqrt(2)))
0.5 * x * (1 + t.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))
F.normalize(x, dim=1)
F.normalize(x, p=1, dim=0)
F.cosine_similarity(x, x.flip(1) + 0.1, dim=1)
t.logit(t.sigmoid(x), eps=1e-6)
"""

MATHS = """
t.log(x)
t.log2(x)
t.log10(x)
t.log1p(x)
t.expm1(x)
t.exp2(x)
t.sqrt(x)
t.rsqrt(x)
t.reciprocal(x)
t.pow(x, 1.7)
t.pow(2.5, x)
t.erf(x)
t.erfc(x * 0.5)
t.sin(x)
t.cos(x)
t.tan(x * 0.3)
t.asin(x * 0.2)
t.acos(x * 0.2)
t.atan(x)
t.sinh(x)
t.cosh(x)
t.asinh(x)
t.acosh(x + 1)
t.atanh(x * 0.2)
t.atan2(x, x + 0.5)
t.hypot(x, x * 0.5)
t.logaddexp(x, x * 0.3)
t.xlogy(x, x + 1)
t.square(x)
t.sign(x - 2)
t.abs(x - 2)
t.frac(x)
t.deg2rad(x)
t.rad2deg(x)
t.nan_to_num(x)
t.cumsum(x, 1)
t.cumprod(x, 1)
t.logcumsumexp(x, 1)
t.logsumexp(x, 1)
t.diff(x)
"""

REDUCTIONS = """
x.mean()
x.mean(1)
x.mean((0, 1), keepdim=True)
x.sum(0)
x.prod(1)
x.var(1)
x.var(1, unbiased=False)
x.std(0)
x.norm(dim=1)
x.norm(p=1, dim=0)
x.norm(p=3, dim=1)
t.linalg.vector_norm(x, dim=1)
x.amax(1)
x.amin(0)
x.max(1).values
x.max(1)
x.argmax(1)
x.argmin(0)
x.median(1).values
x.sort(1).values
x.sort(1, descending=True).indices
x.topk(3, 1).values
x.topk(2, 0)
t.aminmax(x, dim=1)
x.any(1)
(x > 0).all(0)
(x > 0).sum()
x.count_nonzero(1)
t.var_mean(x, 1)
x.logsumexp(0)
x - x.mean(1, keepdim=True)
(x - x.mean(0)) / (x.std(0) + 1e-5)
x / x.sum(1, keepdim=True).abs().clamp(min=0.1)
t.cdist(x, x.flip(0))
t.einsum("nc,mc->nm", x, x)
x @ x.T
x.T @ x / 5
t.outer(x[0], x[1])
t.bmm(x[None], x.T[None])
t.dot(x[0], x[1])
t.kron(x[:2], x[:1])
t.trace(x)
"""

SHAPES = """
x.reshape(3, 10)
x.view(-1)
x.t()
x.unsqueeze(1).expand(5, 2, 6)
x.repeat(2, 1)
x.repeat_interleave(2, 1)
x.flip(0)
x.roll(2, 1)
x.chunk(2, 1)
x.split([1, 2, 3], 1)
t.cat([x, x * 0.1], 1)
t.stack([x, -x], 1)
x[:, 1:4]
x[1::2, ::3]
x[..., -1]
x[[0, 2, 1]]
x[:, [5, 0]]
x[t.tensor([1, 3]), t.tensor([0, 2])]
x[x > 0.5]
x.index_select(1, t.tensor([2, 0, 2]))
x.gather(1, t.tensor([[0, 1], [2, 3], [4, 5], [0, 0], [1, 5]]))
x.masked_select(x > 0)
x.tril()
x.triu(1)
t.diag(x[0, :5])
t.diagonal(x)
x.narrow(1, 2, 3)
x.unfold(1, 3, 2)
F.pad(x, (1, 2))
F.pad(x, (1, 2, 0, 1), value=0.3)
F.pad(x[None], (2, 2), mode="reflect")
F.pad(x[None], (1, 1), mode="replicate")
F.pad(x[None], (1, 2), mode="circular")
x.scatter(1, t.zeros(5, 1, dtype=t.int64), 0.7)
x.scatter_add(1, t.ones(5, 2, dtype=t.int64), x[:, :2])
t.zeros_like(x) + x
t.ones(6) * 0.1 + x
t.full((6,), 0.3) * x
t.full_like(x, 0.7) + x
x.new_zeros(5, 6) + x * 0.1
t.eye(6) @ x.T
t.arange(6) * x
t.meshgrid(x[0], x[1], indexing="ij")
t.nonzero(x > 0)
t.where(x > 0)
t.bucketize(x, t.tensor([-1.0, 0.0, 1.0]))
x.to(t.int64)
x.long().float() * 0.1
(x * 100).to(t.int32) // 7
x.bool().float()
F.one_hot((x > 0).long(), 2).float() * 0.9
t.atleast_3d(x)
x.movedim(0, 1).contiguous().view(2, 15)
x.unflatten(1, (2, 3)).transpose(1, 2)
x.detach().clone() * 1.5
"""

TABLES = """
x * t.arange(6) * 0.1
x + t.linspace(-1, 1, 6)
x * t.linspace(0, 1, 6)
x + t.logspace(-1, 1, 6)
x * t.hann_window(6)
x * t.hamming_window(6, periodic=False)
x * t.blackman_window(6)
x * t.bartlett_window(6)
x * t.kaiser_window(6)
x + t.sin(t.arange(6) * 0.7)
x + t.sin(t.arange(6, dtype=x.dtype) * t.exp(t.arange(6) * -math.log(1e4) / 6))
x * t.cos(t.arange(5)[:, None] / 10000 ** (t.arange(6) / 6))
x * (1.0 / 10000 ** (t.arange(0, 6).float() / 6))
x + t.outer(t.arange(5).float(), 1.0 / 10000 ** (t.arange(0, 6).float() / 6)).sin()
x * t.exp(-0.5 * (t.arange(6) - 2.5) ** 2 / 1.3 ** 2)
x * t.softmax(t.arange(6) * 0.3, 0)
x + t.arange(0, 0.6, 0.1)
x + t.arange(6) / 6
x * t.full((6,), 0.1).cumsum(0)
x * t.ones(6).div(7)
x * t.tensor([0.299, 0.587, 0.114, 0.1, 0.2, 0.3])
x @ t.vander(t.linspace(0, 1, 6))
x @ (t.eye(6) * 0.9 + 0.01)
x * 0.5 ** t.arange(6)
x + (t.arange(5)[:, None] - t.arange(6)).abs() * -0.25
x * s.held
x * s.held.exp()
x * (s.held * 0.3 + 0.1)
x * t.tensor(1 / 3)
x + t.log(t.arange(1, 7))
"""

FOLDED = """
s.normed(x)
s.spectral(x)
s.orthogonal(x)
x * F.softplus(s.w)
x * s.c.exp()
x * s.w.exp()
x * t.sigmoid(s.w)
x * t.tanh(s.w) + s.v.log()
x / s.v
x / s.v.sqrt()
x * t.rsqrt(s.v + 1e-5)
(x - s.w) / (s.v + 1e-5).sqrt() * 0.3
x * (s.w * 0.1)
x * (1 + s.w)
x @ s.m.T / s.m.norm()
F.linear(x, F.normalize(s.m, dim=1))
F.linear(x, s.m / s.m.norm(dim=1, keepdim=True)) * s.c.exp()
F.linear(x, s.m * s.v)
F.linear(x, s.m.softmax(1))
F.linear(x, s.m - s.m.mean(1, keepdim=True))
F.linear(x, (s.m - s.m.mean()) / s.m.std())
F.linear(x, s.m.abs().log())
x @ (s.m.T @ s.m)
x * -s.w.exp()
x * t.sin(s.w * 3.3)
x + s.table.weight.mean(0)
x @ s.table.weight.T * 0.1
x * s.w.clamp(-0.3, 0.7)
x * s.w.round() * 0.1
x * (s.w ** 2).sum().rsqrt()
x * s.w.half().float()
x * s.w.bfloat16().float()
"""

VISION = """
s.conv(x)
s.same(x)
s.point(x)
s.strided(x)
s.grouped(x)
s.depth(x)
s.dilated(x)
s.mirror(x)
s.up(x)
s.batch(s.conv(x))
s.batch(s.conv(x)).relu()
F.hardswish(s.batch(s.conv(x)))
F.silu(s.batch(s.point(x)))
F.leaky_relu(s.batch(s.same(x)), 0.1)
s.first(x)
s.tight(x)
s.conv(s.first(x))
s.groups(s.conv(x))
s.instance(s.conv(x))
s.layer(x)
s.slopes(x)
s.flat(x.flatten(1))
s.conv(x) * 0.1
s.conv(x * 0.1 + 0.3)
F.conv2d(x, F.normalize(s.conv.weight, dim=1))
F.conv2d(x, s.conv.weight * 0.3)
F.max_pool2d(x, 2)
F.max_pool2d(x, 3, 2, 1)
F.max_pool2d(x, 3, 2, ceil_mode=True)
F.avg_pool2d(x, 2)
F.avg_pool2d(x, 3, 2, 1)
F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
F.avg_pool2d(x, (1, 5))
F.avg_pool2d(x, 7, 1, 3)
F.adaptive_avg_pool2d(x, 1)
F.adaptive_avg_pool2d(x, (4, 5))
F.adaptive_max_pool2d(x, 1)
F.lp_pool2d(x, 2, 2)
F.local_response_norm(x, 3)
F.pixel_shuffle(x.repeat(1, 4, 1, 1), 2)
F.pixel_unshuffle(x, 2)
F.unfold(x, 3)
F.channel_shuffle(x.repeat(1, 2, 1, 1), 2)
x.mean((2, 3))
x.amax((2, 3))
x.var((2, 3), unbiased=False)
x.mean((2, 3), keepdim=True) * x
x - x.mean((1, 2, 3), keepdim=True)
(x - t.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / t.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
x.permute(0, 2, 3, 1) @ t.tensor([0.299, 0.587, 0.114])
F.grid_sample(x, F.affine_grid(t.eye(2, 3)[None].repeat(2, 1, 1) * 0.9, (2, 3, 8, 10), align_corners=False), align_corners=False)
"""

INTERPOLATION = """
F.interpolate(x, scale_factor=2)
F.interpolate(x, scale_factor=0.5)
F.interpolate(x, scale_factor=2, mode="bilinear")
F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
F.interpolate(x, scale_factor=0.5, mode="bilinear")
F.interpolate(x, scale_factor=1.5, mode="bilinear")
F.interpolate(x, scale_factor=1.7, mode="bilinear")
F.interpolate(x, scale_factor=1.7, mode="bilinear", recompute_scale_factor=True)
F.interpolate(x, scale_factor=(1.3, 2.1), mode="bilinear")
F.interpolate(x, scale_factor=2, mode="bicubic")
F.interpolate(x, scale_factor=1.7, mode="bicubic")
F.interpolate(x, size=(9, 7), mode="bicubic")
F.interpolate(x, size=(9, 7), mode="bilinear")
F.interpolate(x, size=(9, 7), mode="bilinear", align_corners=True)
F.interpolate(x, size=(9, 7), mode="bicubic", align_corners=True)
F.interpolate(x, size=(16, 20), mode="nearest")
F.interpolate(x, size=(5, 5), mode="bilinear")
F.interpolate(x, size=(5, 7), mode="bilinear", antialias=True)
F.interpolate(x, size=(5, 7), mode="bicubic", antialias=True)
F.interpolate(x, size=(13, 17), mode="bilinear", antialias=True)
F.interpolate(x, size=(24, 30), mode="bilinear")
F.interpolate(x.mean(1), scale_factor=1.7, mode="linear")
F.interpolate(x[:, None], scale_factor=1.5, mode="trilinear")
F.interpolate(x, scale_factor=3, mode="area")
"""

MASKS = """
x.masked_fill(m[..., None], -math.inf).softmax(-1).nan_to_num(0)
x.masked_fill(m[..., None], t.finfo(x.dtype).min)
x.masked_fill(~m[..., None], -1e9).softmax(1)
x + (1.0 - m.float())[..., None] * -10000.0
x + (1.0 - m.to(x.dtype))[..., None] * t.finfo(x.dtype).min
x * m[..., None]
(x * m[..., None]).sum(1) / m.sum(1, keepdim=True).clamp(min=1)
t.where(m[..., None], x, 0.1)
(s.q(x) @ s.k(x).transpose(1, 2) / 8 ** 0.5).softmax(-1) @ s.v(x)
(s.q(x) @ s.k(x).transpose(1, 2) * 0.3 + t.full((7, 7), -math.inf).triu(1)).softmax(-1) @ s.v(x)
(s.q(x) @ s.k(x).transpose(1, 2)).masked_fill(t.ones(7, 7).triu(1).bool(), t.finfo(x.dtype).min).softmax(-1) @ s.v(x)
(s.q(x) @ s.k(x).mT / math.sqrt(8)).masked_fill(~m[:, None], -1e4).softmax(-1) @ s.v(x)
F.scaled_dot_product_attention(s.q(x), s.k(x), s.v(x))
F.scaled_dot_product_attention(s.q(x), s.k(x), s.v(x), is_causal=True)
F.scaled_dot_product_attention(s.q(x)[:, None], s.k(x)[:, None], s.v(x)[:, None], attn_mask=m[:, None, None])
s.attention(x, x, x, need_weights=False)[0]
s.attention(x, x, x)[0]
s.norm(x)
s.norm(x + s.dense(x).sum(-1, keepdim=True) * 0.1)
s.rms(x)
s.dense(F.gelu(x))
s.gru(x)[0]
s.lstm(x)[0]
s.rnn(x)[1]
x * (t.arange(7) < 5)[:, None]
x + s.places(t.arange(7))
x * t.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)
t.cat([-x[..., 4:], x[..., :4]], -1) * t.sin(t.arange(7)[:, None] * 0.1) + x * t.cos(t.arange(7)[:, None] * 0.1)
x.cumsum(1) / t.arange(1, 8)[:, None]
x + (t.arange(7) - t.arange(7)[:, None])[..., :1].abs() * -0.125
"""

LANGUAGE = """
s.table(i)
s.table(i) * 8 ** 0.5
s.table(i) + s.places(t.arange(7))
s.table(i) + s.places((m.cumsum(1) - 1).clamp(min=0))
s.norm(s.table(i) + s.places(t.arange(7)))
s.tied(s.norm(s.table(i)))
s.table(i) * m[..., None]
(s.table(i) * m[..., None]).sum(1) / m.sum(1, keepdim=True).clamp(min=1)
s.table(i).masked_fill((m == 0)[..., None], t.finfo(t.float32).min).amax(1)
s.table(i)[t.arange(2), m.sum(1) - 1]
s.table(i).gather(1, (m.sum(1) - 1).clamp(min=0)[:, None, None].expand(-1, 1, 8))
F.one_hot(i, 11).float() @ s.table.weight * 0.3
(s.table(i) @ s.table.weight.T).log_softmax(-1)
(s.table(i) @ s.table.weight.T).argmax(-1)
s.lstm(s.table(i))[0] * m[..., None]
(1 - m.float()) * -10000.0
(i != 0).float() * 0.9
i * 3 - m
i // 3 + i % 3
t.cumsum(i, 1)
i.float().mean(1) * 0.1
s.dense(s.table(i)).sigmoid().mean(1)
(i[:, :, None] == i[:, None, :]).float() @ s.table(i)
s.table(i.clamp(max=9)) + s.table(i % 5)
t.full_like(i, 3) + i
t.where(m == 1, i, -100)
s.table(i) * t.rsqrt(s.table(i).pow(2).mean(-1, keepdim=True) + 1e-6)
(s.q(s.table(i)) @ s.k(s.table(i)).mT * 8 ** -0.5 + (1.0 - m.float())[:, None] * t.finfo(t.float32).min).softmax(-1)
"""

INTEGERS = """
i + 1
i * 2 - 3
i // 2
i % 3
i // -4
i.abs() % 5
i / 3
i.float() / 7
i * 0.1
0.5 - i
i * x
x * (i > 0)
(i & 3) + (i | 4)
i ^ 5
i << 2
i.clamp(-3, 5)
i.sum(1)
i.max(1).values
i.cumsum(0)
i.float().std(1)
t.where(i > 0, x, 0.3)
t.maximum(i, i.flip(1))
i.to(t.int32) * 3
i.to(t.float32).sqrt().nan_to_num(0.5)
i.sort(1).values
t.div(i, 3, rounding_mode="floor")
t.div(i, 4, rounding_mode="trunc")
i.to(t.uint8).float() / 255
i == i.flip(0)
t.remainder(i, 4)
"""

HALVES = """
x * 0.1
x + 0.3
x / 3
x.float() * 0.1
(x.float() * 0.1).half()
x.relu() * 0.9
x.softmax(-1)
x.float().softmax(-1).to(x.dtype)
F.gelu(x)
F.silu(x)
x.sigmoid()
x.tanh()
x.exp()
F.layer_norm(x, (6,))
x @ x.T
x.mean(1)
x.sum(0)
x * x + x
s.l(x)
s.l(x).relu()
s.n(x)
x * t.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + 1e-6).to(x.dtype)
x.masked_fill(x > 0, t.finfo(x.dtype).min).softmax(-1)
x * s.l.weight[0]
t.cat([x, x * 0.5], 1)
x.amax(1)
F.relu6(x * 4)
F.hardswish(x)
x.clamp(-0.3, 0.7)
x.abs().sqrt()
"""

BFLOATS = """
(x.bfloat16() * 0.1).float()
(x.bfloat16() + x.bfloat16()).float()
s.l(x.bfloat16()).float()
x.bfloat16().float().softmax(-1)
(x * 0.3).bfloat16().float() + 0.1
x.half().float() * 0.1
(x.half() * 0.1).float()
(x.half() @ x.half().T).float()
x.double().mul(0.1).float()
x.double() * 0.1
x.half().softmax(-1).float()
"""


def half_layers(s: Any, t: Any) -> None:
    s.l, s.n = t.nn.Linear(6, 4), t.nn.LayerNorm(6)


def brain_layers(s: Any, t: Any) -> None:
    s.l = t.nn.Linear(6, 4, dtype=t.bfloat16)


PAIRS = """
x + y * 0.1
x * 0.3 - y * 0.7
t.maximum(x, y * 0.1)
t.atan2(x, y)
x / (y.abs() + 0.1)
t.where(x > y, x, y) * 0.9
F.mse_loss(x, y)
F.l1_loss(x, y)
F.smooth_l1_loss(x, y, beta=0.3)
F.huber_loss(x, y, delta=0.7)
F.cosine_similarity(x, y)
F.pairwise_distance(x, y)
F.kl_div(x.log_softmax(1), y.softmax(1), reduction="batchmean")
F.binary_cross_entropy_with_logits(x, y.sigmoid())
F.cross_entropy(x, y.softmax(1), label_smoothing=0.1)
F.bilinear(x, y, t.linspace(-1, 1, 72).view(2, 6, 6))
t.baddbmm(x[None], x[None], y.T[None] @ x[None] * 0.1, beta=0.3, alpha=0.7)
t.addmm(x[:, :5], x, y.T, beta=0.3, alpha=0.7)
t.cross(x[:, :3], y[:, :3], dim=1)
t.einsum("nc,nc->n", x, y) * 0.1
t.lerp(x, y, 0.3)
(x - y).abs().mean()
t.hypot(x, y)
t.copysign(x, y)
t.fmax(x, y)
t.isclose(x, y)
(x > y) ^ (x > 0)
t.stack([x, y]).mean(0)
t.cat([x, y], 1).softmax(1)
t.tensordot(x, y, dims=([1], [1]))
"""

CASES = (
    *group("scalars", X, SCALARS),
    *group("activations", X, ACTIVATIONS),
    *group("maths", POSITIVE, MATHS),
    *group("reductions", X, REDUCTIONS),
    *group("shapes", X, SHAPES),
    *group("tables", X, TABLES, parameters),
    *group("folded", X, FOLDED, parameters),
    *group("vision", IMAGE, VISION, layers),
    *group("interpolation", IMAGE, INTERPOLATION),
    *group("masks", TEXT, MASKS, sequences),
    *group("language", IDS, LANGUAGE, sequences),
    *group("integers", WHOLE, INTEGERS),
    *group("halves", HALF, HALVES, half_layers, half="float16"),
    *group("bfloats", X, BFLOATS, brain_layers),
    *group("pairs", TWO, PAIRS),
)
