"""Healthy models that do not respond to what they are fed where they are rounded all the same: all of them agree.

At the minimum of an activation, where it is saturated, behind a limit, a rounding or whole numbers nothing that is
moved in front of it moves the result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipeline.data import Case, Tensor

WIDE = Tensor("n i", (16, 24), low=-6, high=6, integers=False)
WHOLE = Tensor("n i", (16, 24), "int64", low=0, high=50)


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
