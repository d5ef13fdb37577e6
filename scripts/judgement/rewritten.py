"""Pairs that mean the same, as tools rewrite whole graphs: ONNX Runtime's dumps, the version converter, exporters."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.version_converter

from judgement.pairs import Pair, floats, graph, ints, near, rewrite

Random = np.random.Generator


def nets(r: Random, opset: int) -> Iterator[tuple[str, onnx.ModelProto, dict[str, Any]]]:
    """Small nets of several operators, as an old or a new opset writes them."""
    f = np.float32
    new = opset >= 13
    image = {"x": near(r, 2, 3, 8, 8)}
    border = "float[2,3,8,8] x => float[a,b,c,d] y"
    norm = {"s": near(r, 4) + 1.5, "t": near(r, 4), "m": near(r, 4), "v": near(r, 4) * 0.4 + 0.6}
    yield (
        "conv_norm_relu",
        graph(
            border,
            "c = Conv(x, w)\n n = BatchNormalization(c, s, t, m, v)\n y = Relu(n)",
            opset,
            w=near(r, 4, 3, 3, 3),
            **norm,
        ),
        image,
    )
    yield (
        "residual",
        graph(
            border,
            "c = Conv<pads=[1, 1, 1, 1]>(x, w, k)\n r = Relu(c)\n d = Conv<pads=[1, 1, 1, 1]>(r, u)\n a = Add(d, x)\n y = Relu(a)",
            opset,
            w=near(r, 4, 3, 3, 3),
            k=near(r, 4),
            u=near(r, 3, 4, 3, 3),
        ),
        image,
    )
    yield (
        "pools",
        graph(
            border,
            "p = MaxPool<kernel_shape=[2, 2], strides=[2, 2]>(x)\n q = AveragePool<kernel_shape=[2, 2]>(p)\n"
            "s0 = Sigmoid(q)\n y = Mul(q, s0)",
            opset,
        ),
        image,
    )
    yield (
        "clip_and_scale",
        graph(
            border,
            "c = Clip(x, lo, hi)\n d = Mul(c, k)\n e = Add(d, k)\n y = LeakyRelu<alpha=0.1>(e)",
            opset,
            lo=f(-0.5),
            hi=f(0.7),
            k=f(0.3),
        ),
        image,
    )
    yield (
        "head",
        graph(
            "float[2,3,8,8] x => float[a,b] y",
            "p = GlobalAveragePool(x)\n q = Flatten(p)\n g = Gemm<transB=1>(q, w, k)\n y = Softmax<axis=1>(g)",
            opset,
            w=near(r, 5, 3),
            k=near(r, 5),
        ),
        image,
    )
    yield (
        "attention",
        graph(
            "float[2,5,6] x => float[a,b,c] y",
            "q = MatMul(x, wq)\n k = MatMul(x, wk)\n t = Transpose<perm=[0, 2, 1]>(k)\n s = MatMul(q, t)\n d = Div(s, g)\n"
            "p = Softmax<axis=2>(d)\n y = MatMul(p, x)",
            opset,
            wq=near(r, 6, 6),
            wk=near(r, 6, 6),
            g=f(6**0.5),
        ),
        {"x": near(r, 2, 5, 6)},
    )
    mean = "ReduceMean<axes=[-1]>" if opset < 18 else "ReduceMean"
    axes = "" if opset < 18 else ", l"
    yield (
        "layer_norm",
        graph(
            "float[2,5,6] x => float[a,b,c] y",
            f"m = {mean}(x{axes})\n d = Sub(x, m)\n q = Pow(d, two)\n v = {mean}(q{axes})\n w = Add(v, e)\n s = Sqrt(w)\n"
            "n = Div(d, s)\n o = Mul(n, g)\n y = Add(o, k)",
            opset,
            two=f(2),
            e=f(1e-5),
            g=near(r, 6) + 1.5,
            k=near(r, 6),
            **({"l": ints(-1)} if opset >= 18 else {}),
        ),
        {"x": near(r, 2, 5, 6)},
    )
    yield (
        "gelu",
        graph(
            "float[2,5,6] x => float[a,b,c] y",
            "h = MatMul(x, w)\n i = Add(h, k)\n p = Div(i, root)\n e = Erf(p)\n q = Add(e, one)\n m = Mul(i, q)\n y = Mul(m, half)",
            opset,
            w=near(r, 6, 6),
            k=near(r, 6),
            root=f(2**0.5),
            one=f(1),
            half=f(0.5),
        ),
        {"x": near(r, 2, 5, 6)},
    )
    yield (
        "moves",
        graph(
            "float[2,3,8,8] x => float[a,b,c] y",
            "t = Transpose<perm=[0, 2, 3, 1]>(x)\n p = Reshape(t, s)\n q = Slice(p, b0, e0, one)\n i = Identity(q)\n c = Concat<axis=1>(i, p)\n y = Neg(c)",
            opset,
            s=ints(2, 64, 3),
            b0=ints(3),
            e0=ints(40),
            one=ints(1),
        ),
        image,
    )
    yield (
        "constants",
        graph(
            "float[4,6] x => float[a,b] y",
            "e = Exp(w)\n f = Mul(e, k)\n t = Transpose(m)\n p = Mul(x, f)\n y = MatMul(p, t)",
            opset,
            w=near(r, 6),
            k=f(0.3),
            m=near(r, 5, 6),
        ),
        {"x": near(r, 4, 6)},
    )
    if new:
        squeeze = "u = Unsqueeze(x, one)\n s0 = ReduceSum(u, two)\n y = Squeeze(s0, one)"
        yield (
            "sums",
            graph("float[4,6] x => float[a,b] y", squeeze, opset, one=ints(1), two=ints(2)),
            {"x": near(r, 4, 6)},
        )
    yield (
        "resize",
        graph(
            "float[2,3,8,8] x => float[a,b,c,d] y",
            'r0 = Resize<mode="linear", coordinate_transformation_mode="half_pixel">(x, roi, s)\n y = Relu(r0)',
            opset,
            s=floats(1, 1, 2, 2),
            roi=np.zeros(0, np.float32),
        ),
        image,
    )


def dumped(model: onnx.ModelProto, level: str) -> onnx.ModelProto:
    """A model as ONNX Runtime writes it after its optimizations."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, f"ORT_ENABLE_{level.upper()}")
    options.log_severity_level = 4
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        options.optimized_model_filepath = str(file)
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return onnx.load(file)


@rewrite("runtime")
def runtime_basic(r: Random) -> Iterator[Pair]:
    """ONNX Runtime's own basic optimizations."""
    for opset in (11, 13, 17, 20):
        for name, model, feed in nets(r, opset):
            yield Pair(f"{name}_{opset}", model, dumped(model, "basic"), feed, foreign=True)


@rewrite("runtime")
def runtime_extended(r: Random) -> Iterator[Pair]:
    """ONNX Runtime's extended optimizations, with operators of its own."""
    for opset in (13, 17, 20):
        for name, model, feed in nets(r, opset):
            yield Pair(f"{name}_{opset}", model, dumped(model, "extended"), feed, foreign=True)


@rewrite("converter")
def converted(r: Random) -> Iterator[Pair]:
    """onnx's version converter, up and over many opsets."""
    for old, new in ((11, 13), (13, 15), (13, 18), (13, 21), (15, 20), (18, 22)):
        for name, model, feed in nets(r, old):
            try:
                other = onnx.version_converter.convert_version(model, new)
            except Exception:  # noqa: S112  # a converter that refuses is no rewrite
                continue
            yield Pair(f"{name}_{old}_{new}", model, other, feed)


TORCH = {
    "mlp": ("nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 4))", (4, 6)),
    "conv_norm": ("nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())", (2, 3, 8, 8)),
    "depthwise": (
        "nn.Sequential(nn.Conv2d(3, 6, 3, groups=3), nn.BatchNorm2d(6), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())",
        (2, 3, 8, 8),
    ),
    "hardswish": ("nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Hardswish())", (2, 3, 8, 8)),
    "norms": ("nn.Sequential(nn.GroupNorm(1, 3), nn.InstanceNorm2d(3), nn.LeakyReLU(0.1))", (2, 3, 8, 8)),
    "layer_norm": ("nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 6), nn.Softmax(-1))", (2, 5, 6)),
    "encoder": ("nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)", (2, 5, 8)),
    "up": (
        "nn.Sequential(nn.ConvTranspose2d(3, 4, 2, 2), nn.BatchNorm2d(4), nn.Upsample(scale_factor=2, mode='bilinear'))",
        (2, 3, 4, 4),
    ),
    "lstm": ("nn.LSTM(6, 4, batch_first=True)", (2, 5, 6)),
    "weight_norm": ("nn.utils.parametrizations.weight_norm(nn.Linear(6, 4))", (4, 6)),
    "pools": ("nn.Sequential(nn.MaxPool2d(2), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(12, 3))", (2, 3, 8, 8)),
    "pad": ("nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(3, 4, 3), nn.ReLU6())", (2, 3, 8, 8)),
}


@rewrite("exporter")
def exported_raw_or_optimized(r: Random) -> Iterator[Pair]:
    """torch's exporter with its optimizer and without."""
    import torch

    for name, (text, shape) in TORCH.items():
        torch.manual_seed(0)
        model = eval(text, {"nn": torch.nn}).eval()  # noqa: S307  # lines of this file
        for part in model.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                torch.nn.init.normal_(part.running_mean, 0, 0.3)
                torch.nn.init.uniform_(part.running_var, 0.5, 1.5)
        x = torch.from_numpy(near(r, *shape))
        made = []
        for optimize in (False, True):
            program = torch.onnx.export(model, (x,), dynamo=True, optimize=optimize, verbose=False)
            made.append(program.model_proto)
        feed = {made[0].graph.input[0].name: x.numpy()}
        yield Pair(name, made[0], made[1], feed)
