"""Given files that are not the model's, where the case's own inputs do not show it.

A row is a model in torch, as :mod:`judgement.healthy_torch` has them, what the file holds in its place, and a witness
on which ONNX Runtime tells the file from a right export.  :mod:`judgement.given_files` writes the files, the witnesses
and ``given.py``, a case file of them all.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from judgement.healthy_torch import builder
from onnx_triangulate import Case, Tensor

FLOATS = {"x": ("n c", (4, 6), "float32", -2.0, 2.0)}
SMALL = {"x": ("n c", (4, 6), "float32", -1.0, 1.0)}
POSITIVE = {"x": ("n c", (4, 6), "float32", 0.1, 0.9)}
TWO = {"a": ("n c", (3, 6), "float32", -2.0, 2.0), "b": ("n c", (3, 6), "float32", -2.0, 2.0)}
IMAGE = {"x": ("n c h w", (2, 3, 8, 8), "float32", -1.0, 1.0)}
IDS = {"i": ("n t", (2, 7), "int64", 0, 50)}
WHOLE = {"i": ("n c", (4, 6), "int64", -9, 10)}
MASKED = {"x": ("n c", (4, 6), "float32", -2.0, 2.0), "m": ("n c", (4, 6), "bool", 0, 2)}


@dataclass(frozen=True)
class Row:
    """One model and the fault of its file.

    ``right`` and ``wrong`` are expressions; ``witness`` says how the numbers are made on which they part (``far``,
    ``near``, ``zero``, ``half``, ``nan``, ``ids``, ``other``); ``edit`` changes the exported file instead.
    ``frozen`` gives the case the inputs that the file was traced with.
    """

    name: str
    right: str
    wrong: str
    inputs: dict[str, Any] = field(default_factory=lambda: FLOATS)
    witness: str = "far"
    edit: str = ""
    frozen: bool = False


def start(s: Any, t: Any) -> None:
    """The layers and parameters that the rows name; those called ``other`` have other numbers."""
    t.manual_seed(3)  # for the file and for the case
    nn = t.nn
    s.f, s.other = nn.Linear(6, 5), nn.Linear(6, 5)
    s.g, s.g_other = nn.Linear(5, 3), nn.Linear(5, 3)
    s.conv, s.conv_other = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)
    s.table, s.table_other = nn.Embedding(50, 4), nn.Embedding(50, 4)
    s.table_other.weight.data.copy_(s.table.weight.data)
    s.table_other.weight.data[37] += 1
    s.norm, s.norm_other = nn.LayerNorm(6, eps=1e-12), nn.LayerNorm(6, eps=1e-5)
    s.norm_big, s.norm_small = nn.LayerNorm(6, eps=1e-3), nn.LayerNorm(6, eps=1e-6)
    s.batch, s.batch_other = nn.BatchNorm2d(3, eps=1e-3), nn.BatchNorm2d(3, eps=1e-5)
    for norm in (s.batch, s.batch_other):
        norm.running_var.data.fill_(1e-4)
    s.lstm = nn.LSTM(6, 4, batch_first=True)
    s.w = nn.Parameter(t.randn(6))


def _twins(name: str, text: str, right: str, wrong: str, inputs: dict[str, Any] | None = None) -> Row:
    """A row whose two expressions are the same but for one word."""
    return Row(name, text.replace("@", right), text.replace("@", wrong), inputs or FLOATS)


BIG = {"1e4": "10000.0", "60": "60.0", "300": "300.0"}


def _rows() -> Iterator[Row]:  # noqa: C901  one loop a table of models
    for name, add in BIG.items():
        for function, sign in (
            ("t.sigmoid({})", ""),
            ("t.tanh({})", ""),
            ("F.relu({})", "-"),
            ("F.relu6({})", ""),
            ("F.hardtanh({})", ""),
            ("({} > 0)", ""),
            ("F.elu({})", "-"),
        ):
            right, wrong = (function.format(f"s.{f}(x) + {sign}{add}") for f in ("f", "other"))
            short = function.partition("(")[0].split(".")[-1] or "greater"
            yield Row(f"weights_behind_{short}_{name}", right, wrong)
        sure = f"F.softmax(s.@(x) + t.tensor([0., 0., {add}, 0., 0.]), -1)"
        yield _twins(f"weights_behind_softmax_{name}", sure, "f", "other")
        top = f"(s.@(x) + t.tensor([0., 0., {add}, 0., 0.])).argmax(-1)"
        yield _twins(f"weights_behind_argmax_{name}", top, "f", "other")
        yield _twins(f"dead_units_{name}", f"F.linear(F.relu(s.f(x) - {add}), s.@.weight) + x[:, :3]", "g", "g_other")
        dead = f"F.relu(s.@(x) - {add}).mean((2, 3)) + x[:, :1, 0, 0]"
        yield _twins(f"dead_filters_{name}", dead, "conv", "conv_other", IMAGE)
        yield _twins(f"never_chosen_{name}", f"t.where(x > {add}, x * @, x)", "0.5", "0.25")
        yield Row(f"nothing_found_{name}", f"t.nonzero(x > {add})", f"t.nonzero(x > {add} * 2)")
    for low, high in ((-100, 100), (-10, 10), (-3, 3), (-1000, 50)):
        yield Row(f"limit_lost_{low}_{high}", f"x.clamp({low}, {high}) * 2", "x * 2.0")
        yield Row(f"limit_above_lost_{low}_{high}", f"x.clamp({low}, {high}) * 2", f"x.clamp(min={low}) * 2")
        yield Row(f"limit_other_{low}_{high}", f"x.clamp({low}, {high}) * 2", f"x.clamp({low}, {high} + 1) * 2")
    for right, wrong in (
        ("F.relu6(x)", "F.relu(x)"),
        ("F.hardtanh(x, -5, 5)", "x * 1.0"),
        ("F.hardswish(x)", "x * F.relu(x + 3) / 6"),
        ("F.hardsigmoid(x)", "x / 6 + 0.5"),
        ("F.threshold(x, -50, 7)", "x * 1.0"),
        ("F.softshrink(x, 0.001)", "x - 0.001 * x.sign()"),
        ("F.softplus(x)", "F.softplus(x, threshold=5)"),
        ("F.softplus(x)", "t.log(1 + t.exp(x))"),
        ("x.softmax(-1)", "x.exp() / x.exp().sum(-1, keepdim=True)"),
        ("x.logsumexp(-1)", "x.exp().sum(-1).log()"),
        ("t.sigmoid(x)", "x.exp() / (1 + x.exp())"),
        ("x.norm(dim=-1)", "t.tanh(x.norm(dim=-1) / 1e4) * 1e4"),
        ("F.silu(x)", "x * x.exp() / (1 + x.exp())"),
        ("t.tanh(x)", "(x.exp() - (-x).exp()) / (x.exp() + (-x).exp())"),
        ("x.var(-1)", "((x * x).mean(-1) - x.mean(-1) ** 2) * 6 / 5"),
        ("F.log_softmax(x, -1)", "x - x.exp().sum(-1, keepdim=True).log()"),
    ):
        yield Row(f"formula_{right.partition('(')[0].split('.')[-1]}_{number_of(right + wrong)}", right, wrong)
    for limit in (0.5, 1.0, 0.25):
        yield Row(f"greater_or_equal_{limit}", f"(x > {limit}).float()", f"(x >= {limit}).float()", witness=f"={limit}")
        yield Row(
            f"less_or_equal_{limit}",
            f"t.where(x < {limit}, x, -x)",
            f"t.where(x <= {limit}, x, -x)",
            witness=f"={limit}",
        )
    for scale in (1.0, 3.0, 10.0):
        yield Row(
            f"rounds_up_{scale}", f"t.round(x * {scale})", f"t.floor(x * {scale} + 0.5)", witness=f"={0.5 / scale}"
        )
    for eps in (1e-12, 1e-8, 1e-6):
        yield Row(
            f"floor_lost_{eps}",
            f"x / x.norm(dim=-1, keepdim=True).clamp(min={eps})",
            "x / x.norm(dim=-1, keepdim=True)",
            witness="zero",
        )
        yield Row(
            f"floor_other_{eps}", f"x / x.abs().clamp(min={eps})", f"x / x.abs().clamp(min={eps} * 100)", witness="tiny"
        )
        yield Row(
            f"log_floor_{eps}",
            f"t.log(x.clamp(min={eps}))",
            f"t.log(x.clamp(min={eps} * 100))",
            POSITIVE,
            witness="zero",
        )
    yield Row("layer_norm_epsilon", "s.norm(x)", "s.norm_other(x)", witness="tiny")
    yield Row("layer_norm_epsilon_lower", "s.norm_small(x * 30)", "s.norm_big(x * 30)", witness="tiny")
    yield Row("batch_norm_epsilon", "s.batch(x).sigmoid()", "s.batch_other(x).sigmoid()", IMAGE, witness="tiny")
    yield Row(
        "rms_epsilon",
        "x * t.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)",
        "x * t.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-8)",
        witness="tiny",
    )
    yield Row("root_epsilon", "t.sqrt(x * x + 1e-10)", "t.sqrt(x * x + 1e-12)", witness="tiny")
    yield Row("division_epsilon", "x / (x * x + 1e-9)", "x / (x * x + 1e-8)", witness="tiny")
    for text, wrong in (
        ("t.nan_to_num(x)", "x * 1.0"),
        ("t.where(t.isnan(x), 0.0, x)", "x * 1.0"),
        ("t.where(t.isinf(x), 9.0, x)", "x * 1.0"),
        ("t.maximum(x, x * 0)", "t.where(x > 0, x, x * 0)"),
    ):
        yield Row(f"nan_{number_of(text + wrong)}", text, wrong, witness="nan")
    for pad in (0, 7, 49):
        yield Row(
            f"padding_id_{pad}",
            f"s.table(i) * (i != {pad})[..., None]",
            "s.table(i) * 1.0",
            IDS | {"i": ("n t", (2, 7), "int64", 10, 40)},
            witness=f"={pad}",
        )
        yield Row(
            f"special_id_{pad}",
            f"t.where(i == {pad}, -1, i)",
            "i * 1",
            IDS | {"i": ("n t", (2, 7), "int64", 10, 40)},
            witness=f"={pad}",
        )
    yield Row(
        "one_row_other",
        "s.table(i) * 2",
        "s.table_other(i) * 2",
        IDS | {"i": ("n t", (2, 7), "int64", 0, 30)},
        witness="=37",
    )
    yield Row(
        "ids_clamped",
        "s.table(i) * 2",
        "s.table(i.clamp(max=40)) * 2",
        IDS | {"i": ("n t", (2, 7), "int64", 0, 30)},
        witness="=49",
    )
    for kind, big in (("int32", 2**33), ("int16", 2**17), ("float32", 2**24 + 1), ("float16", 4097)):
        yield Row(f"through_{kind}", "i * 1", f"i.to(t.{kind}).to(t.int64) * 1", WHOLE, witness=f"={big}")
    yield Row("integer_sum_in_float", "i.sum(-1)", "i.float().sum(-1).long()", WHOLE, witness=f"={2**24 + 1}")
    yield Row(
        "integer_mean_in_half",
        "i.float().mean(-1)",
        "(i.half() / 6).float().sum(-1)",
        WHOLE | {"i": ("n c", (4, 6), "int64", 0, 2)},
        witness="=70000",
    )
    for limit in (0.0, 0.7, -0.7):  # the mean of what is drawn lies between the last two
        chosen = f"t.where(x.mean() > {limit}, x * 2, x * 3)"
        yield Row(
            f"branch_frozen_{limit}", chosen, f"x * 2 if x.mean() > {limit} else x * 3", witness="either", frozen=True
        )
    for text, frozen in (
        ("x / x.abs().max()", "x / float(x.abs().max())"),
        ("x - x.mean()", "x - float(x.mean())"),
        ("x / x.std()", "x / float(x.std())"),
        ("x * x.sum()", "x * float(x.sum())"),
        ("x + x[0, 0]", "x + float(x[0, 0])"),
        ("x - x.mean(0)", "x - t.tensor(x.mean(0).tolist())"),
        ("x[x.sum(1).argmax()] * 2", "x[int(x.sum(1).argmax())] * 2"),
        ("x * (x > x.mean())", "x * (x > float(x.mean()))"),
        ("x * x.norm()", "x * float(x.norm())"),
        ("x.clamp(max=x.mean())", "x.clamp(max=float(x.mean()))"),
    ):
        yield Row(f"value_frozen_{number_of(text)}", text, frozen, witness="other", frozen=True)
    yield Row("value_frozen_whole", "i - i.max()", "i - int(i.max())", WHOLE, witness="other", frozen=True)
    for text in ("a - 2 * b", "a / (b.abs() + 1)", "t.where(a > b, a, b * 0.5)", "a @ b.T", "t.cat([a, b], 1)"):
        yield Row(f"inputs_swapped_{number_of(text)}", text, text, TWO, witness="other", edit="swap")
    for text in ("t.maximum(a, b) + a * b", "a + b"):
        yield Row(
            f"inputs_symmetric_but_{number_of(text)}",
            text + " + t.relu(a - 100)",
            text + " + t.relu(b - 100)",
            TWO,
            witness="far",
        )
    for text, cast in (
        ("x * 2", "DOUBLE"),
        ("x > 0", "INT64"),
        ("i * 2", "INT32"),
        ("x.argmax(-1)", "INT32"),
        ("x.relu()", "FLOAT16"),
        ("i.sum()", "FLOAT"),
    ):
        yield Row(
            f"type_{cast.lower()}_{number_of(text)}",
            text,
            text,
            WHOLE if text[0] == "i" else FLOATS,
            witness="other",
            edit=cast,
        )
    for half in ("x.half() * 2", "x.half().relu()"):
        yield Row(f"type_of_half_{number_of(half)}", half, half, FLOATS, witness="other", edit="FLOAT")
    yield Row(
        "mask_not_low_enough",
        "x.masked_fill(~m, -math.inf).softmax(-1)",
        "x.masked_fill(~m, -1e4).softmax(-1)",
        MASKED,
        witness="masked",
    )
    yield Row(
        "mask_of_the_type",
        "x.masked_fill(~m, t.finfo(t.float32).min).softmax(-1)",
        "x.masked_fill(~m, -1e4).softmax(-1)",
        MASKED,
        witness="masked_far",
    )
    yield Row(
        "recurrence_other", "s.lstm(x[:, None])[0]", "s.lstm(x[:, None] * 1.0)[0] + t.relu(x[:, None, :4] - 50)", FLOATS
    )


def number_of(text: str) -> int:
    """A number of a text that is the same in every run."""
    return zlib.crc32(text.encode()) % 1000


ROWS: dict[str, Row] = {row.name: row for row in _rows()}


def tensor(row: Row, name: str) -> Tensor:
    axes, shape, dtype, low, high = row.inputs[name]
    return Tensor(axes, shape, dtype, low=low, high=high, integers=dtype != "float32")


def case(row: Row, file: str | None, arrays: str | None) -> Case:
    """The case of a row; without a file it is its healthy twin."""
    return Case(
        row.name,
        inputs={name: tensor(row, name) for name in row.inputs},
        builders={"torch": builder(row.right, start, tuple(row.inputs))},
        onnx={"torch": file} if file else {},
        inputs_file=arrays,
        note=f"{row.right} | {row.wrong} {row.edit}".strip(),
    )


def cases(folder: Path) -> tuple[Case, ...]:
    """The cases of the files that a folder holds."""
    listed = json.loads((folder / "given.json").read_text())
    return tuple(case(ROWS[name], about["file"], about["inputs"]) for name, about in listed.items())
