"""Healthy models that do not respond to what they are fed where they are rounded all the same: all of them agree.

At the minimum of an activation, where it is saturated, behind a limit, a rounding or whole numbers nothing that is
moved in front of it moves the result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from onnx_triangulate import Case, Tensor

WIDE = Tensor("n i", (16, 24), low=-6, high=6, integers=False)
WHOLE = Tensor("n i", (16, 24), "int64", low=0, high=50)
CONFIDENT = Tensor("n i", (3, 6), values=[[30, 4, 1, 0, 2, 3.5], [1, 2, 28, 0.5, 1, 0], [5, 1, 2, 3, 4, 5.5]])
LABELS = Tensor("n", (3,), "int64", values=[0, 2, 1])


def rows(torch: Any, x: Any) -> Any:
    """Rows of equal numbers, and others."""
    return torch.cat([x[:, :1].expand(x.shape), x])


def moments(torch: Any, x: Any) -> Any:
    functional, both = torch.nn.functional, rows(torch, x)
    planes = both[:, :, None].expand(*both.shape, 4)
    return (
        functional.layer_norm(both, (24,)),
        functional.group_norm(planes, 4),
        functional.batch_norm(both.T, None, None, training=True),
        both.std(1),
        both.var(1),
    )


def torch_case(name: str, function: Callable[[Any, Any], Any], given: Tensor = WIDE) -> Case:
    return Case(name, inputs={"x": given}, builders={"torch": lambda torch: lambda x: function(torch, x)})


CASES = (
    torch_case(
        "activations",
        lambda torch, x: tuple(
            getattr(torch.nn.functional, name)(x)
            for name in ("gelu", "silu", "mish", "elu", "softplus", "sigmoid", "tanh")
        ),
    ),
    torch_case("softmaxes", lambda torch, x: (torch.softmax(4 * x, 1), torch.log_softmax(4 * x, 1))),
    torch_case("clamped", lambda torch, x: torch.exp(x.clamp(-1.3, 1.3))),
    torch_case("rounded", lambda torch, x: torch.exp(torch.round(x)) + torch.floor(x) / 7),
    torch_case("extreme", lambda torch, x: (torch.sin(4 * x), x * x - x)),
    torch_case("whole", lambda torch, x: torch.exp(x.float() * 0.01), WHOLE),
    torch_case("halved", lambda torch, x: torch.exp(x.half().float())),
    torch_case("moments", moments),
    torch_case("angles", lambda torch, x: torch.acos(torch.cosine_similarity(x, rows(torch, x)[8:24], 1).clamp(max=1))),
    torch_case("log_sums", lambda torch, x: (torch.logsumexp(x, 1), torch.logit(0.5 + x * 1e-4))),
    Case(
        "confident",
        inputs={"x": CONFIDENT, "y": LABELS},
        builders={"torch": lambda torch: lambda x, y: torch.nn.functional.cross_entropy(x, y, reduction="none")},
    ),
    Case(
        "tensorflow_confident",
        inputs={"x": CONFIDENT, "y": LABELS},
        builders={
            "tensorflow": lambda tf: (
                lambda x, y: (
                    tf.nn.log_softmax(x),
                    tf.nn.sparse_softmax_cross_entropy_with_logits(y, x),
                )
            )
        },
    ),
    Case(
        "keras",
        inputs={"x": Tensor("n h w c", (2, 6, 5, 3), low=-3, high=3, integers=False)},
        builders={
            "tensorflow": lambda tf: tf.keras.Sequential(
                [tf.keras.layers.Conv2D(8, 3, activation="silu"), tf.keras.layers.Activation("gelu")][:1]
            )
        },
    ),
)
