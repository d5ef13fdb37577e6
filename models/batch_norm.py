"""Batch normalization: the notebook's unexplained divergence, the modes, the moving statistics and the epsilons.

The models are the layers people write, ``BatchNorm2d`` and Keras's ``BatchNormalization``.  Where gradients or the
state after a step are asked for, they are the functions that these layers call, since a case's model is called more
than once and must answer the same each time.
"""

from __future__ import annotations

from typing import Any

from onnx_triangulate import Array, Builder, Case, Each, Expected, Gradient, Rounded, Tensor
from onnx_triangulate.cases.definitions import (
    batch_norm_rounded,
    batch_norm_training_gradients_rounded,
    batch_norm_training_rounded,
    moments_rounded,
)

IMAGE = Tensor("n c h w", (2, 3, 5, 4), low=-3, high=4)
FEW = Tensor("n c h w", (2, 3, 1, 5), low=-3, high=4)  # the gradient's bound grows with the members of a channel
SCALE = Tensor("c", values=[0.5, -1.5, 2.0])
SHIFT = Tensor("c", values=[1.0, 0.0, -2.0])
MEAN = Tensor("c", values=[0.5, -1.0, 2.0])
VARIANCE = Tensor("c", values=[4.0, 0.0625, 0.01])

INFERENCE_MODE = Expected(
    "export",
    cause="training-mode-lost",
    reason="torch's dynamo exporter writes batch normalization in training mode as inference, silently",
    when="torch<2.14",
)
SILENT = {("torch", "torch>*"): INFERENCE_MODE, ("torch", "torch:raw>*"): INFERENCE_MODE}
REFUSED = Expected(
    "export-failed",
    reason="momentum=None makes the factor of the moving averages depend on data; torch.export refuses its item()",
    when="torch<2.14",
)


def torch_layer(epsilon: float = 1e-5, **settings: Any) -> Builder:
    def build(
        torch: Any, scale: Any, shift: Any, mean: Any = None, variance: Any = None, epsilon: float = epsilon
    ) -> Any:
        layer = torch.nn.BatchNorm2d(len(scale), eps=epsilon, dtype=scale.dtype, **settings)
        given = {"weight": scale, "bias": shift, "running_mean": mean, "running_var": variance}
        layer.load_state_dict({name: value for name, value in given.items() if value is not None}, strict=False)
        return layer

    return build


def keras_layer(*, training: bool, epsilon: float = 1e-5) -> Builder:
    def build(tf: Any, scale: Any, shift: Any, mean: Any = None, variance: Any = None, epsilon: float = epsilon) -> Any:
        layer = tf.keras.layers.BatchNormalization(momentum=0.9, epsilon=epsilon, dtype=scale.dtype.name)
        layer.build((None, None, None, scale.shape[0]))
        layer.gamma.assign(scale)
        layer.beta.assign(shift)
        if mean is not None:
            layer.moving_mean.assign(mean)
            layer.moving_variance.assign(variance)
        return lambda x: layer(x, training=training)

    return build


def torch_step(torch: Any, scale: Any, shift: Any, mean: Any, variance: Any) -> Any:
    def model(x: Any) -> Any:
        new_mean, new_variance = mean.clone(), variance.clone()
        y = torch.nn.functional.batch_norm(
            x, new_mean, new_variance, scale, shift, training=True, momentum=0.1, eps=1e-5
        )
        return y, new_mean, new_variance

    return model


def tensorflow_step(tf: Any, scale: Any, shift: Any, mean: Any, variance: Any) -> Any:
    def model(x: Any) -> Any:
        of_batch = tf.nn.moments(x, axes=[0, 1, 2])
        y = tf.nn.batch_normalization(x, *of_batch, shift, scale, 1e-5)
        return y, *(old * 0.9 + new * (1.0 - 0.9) for old, new in zip((mean, variance), of_batch, strict=True))

    return model


def step_truth(*, unbiased: bool) -> Any:
    def truth(x: Array, scale: Array, shift: Array, mean: Array, variance: Array) -> dict[str, Rounded]:
        n = x.size // x.shape[1]
        of_batch, spread = moments_rounded(x)
        bessel = n / (n - 1) if unbiased else 1.0

        def moved(old: Array, new: Rounded, factor: float) -> Rounded:
            # two factors rounded, two products, a sum; Bessel's quotient and its product
            size = 0.9 * abs(old) + 0.1 * factor * new.scale
            return Rounded(0.9 * old + 0.1 * factor * new.value, size, new.roundings + 5)

        return {
            "y": batch_norm_training_rounded(x, scale, shift, 1e-5),
            "new_mean": moved(mean, of_batch, 1.0),
            "new_variance": moved(variance, spread, bessel),
        }

    return truth


def training_truth(x: Array, scale: Array, shift: Array) -> Rounded:
    return batch_norm_training_rounded(x, scale, shift, 1e-5)


def gradient_truth(x: Array, scale: Array, shift: Array, dy: Array) -> dict[str, Rounded]:
    dx, dscale, dshift = batch_norm_training_gradients_rounded(x, scale, dy, 1e-5)
    return {"y": training_truth(x, scale, shift), "grad_x": dx, "grad_scale": dscale, "grad_shift": dshift}


def training(name: str, scale: Any, torch: Builder, expect: Any, note: str = "") -> Case:
    return Case(
        name,
        inputs={"x": IMAGE},
        parameters={"scale": scale, "shift": SHIFT},
        outputs={"y": Tensor("n c h w")},
        builders={"torch": torch, "tensorflow": keras_layer(training=True)},
        truth=training_truth,
        training=True,
        expect=expect,
        note=note,
    )


CASES = (
    training(
        "training_random_scale",
        Each(torch=Tensor("c", (3,), low=0, high=1, integers=False), tensorflow=Tensor("c", values=[1.0, 1.0, 1.0])),
        torch_layer(momentum=0.1),
        {
            ("tensorflow", "torch"): Expected(
                "parameters",
                cause="different-parameters",
                reason="BatchNorm2d once drew its scale from U(0, 1), TensorFlow starts at 1: one factor per channel",
            ),
            **SILENT,
        },
        note="the founding notebook's unexplained divergence",
    ),
    training("training_same_scale", SCALE, torch_layer(momentum=0.1), SILENT),
    training(
        "momentum_none",
        SCALE,
        torch_layer(momentum=None),
        {("torch", "torch>*"): REFUSED, ("torch", "torch:raw>*"): REFUSED},
        note="moving averages over all batches so far, as the notebook's layer has them",
    ),
    Case(
        "running_statistics",
        inputs={"x": IMAGE},
        parameters={"scale": SCALE, "shift": SHIFT, "mean": MEAN, "variance": VARIANCE},
        outputs={"y": Tensor("n c h w"), "new_mean": Tensor("c"), "new_variance": Tensor("c")},
        builders={"torch": torch_step, "tensorflow": tensorflow_step},
        truth={"torch": step_truth(unbiased=True), "tensorflow": step_truth(unbiased=False)},
        training=True,
        expect={
            ("tensorflow", "torch"): Expected(
                "semantics",
                reason="PyTorch moves its variance by the batch's unbiased variance, Keras by the biased one",
            ),
            **SILENT,
            ("torch", "torch:script>*"): Expected(
                "export",
                reason="torch's TorchScript exporter gives the state before the step, as constants, for the state "
                "after it; ONNX Runtime overwrites them in place, which hides half of that (its variance is biased)",
                when="torch<2.14",
            ),
        },
        note="one step: PyTorch's momentum 0.1 is TensorFlow's 0.9",
    ),
    Case(
        "evaluation",
        inputs={"x": IMAGE},
        parameters={"scale": SCALE, "shift": SHIFT, "mean": MEAN, "variance": VARIANCE},
        outputs={"y": Tensor("n c h w")},
        builders={"torch": torch_layer(), "tensorflow": keras_layer(training=False)},
        truth=lambda x, scale, shift, mean, variance: batch_norm_rounded(x, mean, variance, scale, shift, 1e-5),
    ),
    Case(
        "epsilon",
        inputs={"x": IMAGE},
        parameters={
            "scale": SCALE,
            "shift": SHIFT,
            "mean": MEAN,
            "variance": VARIANCE,
            "epsilon": Each(torch=1e-5, tensorflow=1e-3),
        },
        outputs={"y": Tensor("n c h w")},
        builders={"torch": torch_layer(), "tensorflow": keras_layer(training=False)},
        truth=lambda x, scale, shift, mean, variance, epsilon: batch_norm_rounded(
            x, mean, variance, scale, shift, epsilon
        ),
        expect={
            ("tensorflow", "torch"): Expected(
                "parameters", reason="both frameworks' defaults: epsilon 1e-5 against 1e-3"
            )
        },
        note="with a variance of 0.01 the two defaults are five percent apart",
    ),
    Case(
        "gradient_training",
        inputs={"x": FEW, "scale": SCALE, "shift": SHIFT, "dy": Tensor("n c h w", FEW.shape, low=-2, high=4)},
        outputs={
            "y": Tensor("n c h w"),
            "grad_x": Tensor("n c h w"),
            "grad_scale": Tensor("c"),
            "grad_shift": Tensor("c"),
        },
        builders={
            "torch": lambda torch: (
                lambda x, scale, shift: torch.nn.functional.batch_norm(
                    x, None, None, scale, shift, training=True, eps=1e-5
                )
            ),
            "tensorflow": lambda tf: (
                lambda x, scale, shift: tf.nn.batch_normalization(
                    x, *tf.nn.moments(x, axes=[0, 1, 2]), shift, scale, 1e-5
                )
            ),
        },
        truth=gradient_truth,
        gradient=Gradient(of="y", wrt=("x", "scale", "shift"), cotangent="dy"),
        training=True,
        expect={
            ("torch", "torch:script>*"): Expected(
                "export-failed",
                reason="the TorchScript exporter refuses the decomposed backward pass",
                when="torch<2.14",
            ),
            ("tensorflow", "tensorflow*>*"): Expected(
                "export-failed",
                cause="operator-not-converted",
                reason="tf2onnx has no RsqrtGrad and leaves it in the graph as it is",
                when="tf2onnx<1.18",
            ),
        },
    ),
)
