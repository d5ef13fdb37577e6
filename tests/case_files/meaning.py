"""Two frameworks that mean different things at nodes that are known: what `verify` says of the nodes.

Both models are given the same weights.  Each case differs in one or two settings; the faithful one in none.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Case, Tensor
from onnx_triangulate.records.arrays import Array

IMAGE = Tensor("n c h w", (2, 3, 7, 8), low=-2, high=2, integers=False)
WORDS = Tensor("n t c", (2, 5, 6), low=-2, high=2, integers=False)


def weight(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, shape).astype(np.float32)


def images(torch: Any, seed: int = 1) -> Any:
    first, second = torch.nn.Conv2d(3, 5, 3, padding=1), torch.nn.Conv2d(5, 4, 3)
    with torch.no_grad():
        for layer, number, shape in ((first, seed, (5, 3, 3, 3)), (second, 2, (4, 5, 3, 3))):
            layer.weight.copy_(torch.from_numpy(weight(number, *shape)))
            layer.bias.copy_(torch.from_numpy(weight(3, shape[0])))
    return torch.nn.Sequential(first, torch.nn.ReLU(), second, torch.nn.ReLU())


def images_keras(tf: Any, slope: float) -> Any:
    layers = tf.keras.layers

    def activation() -> Any:
        return layers.LeakyReLU(negative_slope=slope) if slope else layers.ReLU()

    first, second = layers.Conv2D(5, 3, padding="same"), layers.Conv2D(4, 3)
    x = tf.keras.Input((7, 8, 3))
    model = tf.keras.Model(x, layers.ReLU()(second(activation()(first(x)))))
    for layer, number, shape in ((first, 1, (5, 3, 3, 3)), (second, 2, (4, 5, 3, 3))):
        layer.set_weights([weight(number, *shape).transpose(2, 3, 1, 0), weight(3, shape[0])])
    return model


def words(torch: Any) -> Any:
    first, norm, second = torch.nn.Linear(6, 9), torch.nn.LayerNorm(9, eps=1e-5), torch.nn.Linear(9, 4)
    with torch.no_grad():
        for layer, shape in ((first, (9, 6)), (second, (4, 9))):
            layer.weight.copy_(torch.from_numpy(weight(1, *shape)))
            layer.bias.copy_(torch.from_numpy(weight(2, shape[0])))
    return torch.nn.Sequential(first, norm, second, torch.nn.GELU())


def words_keras(tf: Any) -> Any:
    layers = tf.keras.layers
    first, norm, second = layers.Dense(9), layers.LayerNormalization(epsilon=1e-3), layers.Dense(4)
    x = tf.keras.Input((5, 6))
    model = tf.keras.Model(x, tf.keras.activations.gelu(second(norm(first(x))), approximate=True))
    for layer, shape in ((first, (9, 6)), (second, (4, 9))):
        layer.set_weights([weight(1, *shape).T, weight(2, shape[0])])
    return model


def normalized(eps: float) -> Any:
    return lambda torch: torch.nn.LayerNorm(6, eps=eps)


def normalized_keras(tf: Any) -> Any:
    return tf.keras.Sequential([tf.keras.Input((5, 6)), tf.keras.layers.LayerNormalization(epsilon=1e-6)])


def pair(name: str, x: Tensor, torch: Any, tensorflow: Any) -> Case:
    builders = {"torch": torch, "tensorflow": tensorflow}
    return Case(name, inputs={"x": x}, outputs={"y": Tensor(x.axes)}, builders=builders)


CASES = (
    pair("faithful", IMAGE, images, lambda tf: images_keras(tf, 0)),
    pair("activation", IMAGE, images, lambda tf: images_keras(tf, 0.1)),
    pair("weights_and_activation", IMAGE, lambda torch: images(torch, seed=9), lambda tf: images_keras(tf, 0.1)),
    pair("epsilon_and_gelu", WORDS, words, words_keras),
    pair("small_epsilon", WORDS, normalized(1.1e-6), normalized_keras),
    pair("same_epsilon", WORDS, normalized(1e-6), normalized_keras),
)
