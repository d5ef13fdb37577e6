"""Small models of many operators, from both frameworks: where exporters go wrong more often than in plain layers.

    triangulate verify scripts/zoo/mixed.py::unet

A U-Net resizes, pools, pads, concatenates and transposes convolutions; ``pieces`` moves, gathers, compares, casts and
reduces.  No two axes are of one size, so that a wrong one cannot pass for the right one.
"""

from __future__ import annotations

from typing import Any

from onnx_triangulate import Case, Tensor


def unet(torch: Any) -> Any:
    nn, functional = torch.nn, torch.nn.functional

    class UNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.LeakyReLU(0.1))
            self.second = nn.Sequential(nn.Conv2d(6, 8, 3, padding=(1, 2), stride=(2, 1), groups=2), nn.GroupNorm(2, 8))
            self.third = nn.Conv2d(8, 10, (3, 1), padding=(2, 0), dilation=(2, 1))
            self.rise = nn.ConvTranspose2d(10, 7, 3, stride=2, padding=1, output_padding=(1, 0))
            self.gate = nn.InstanceNorm2d(7, affine=True)
            self.last, self.slope = nn.Conv2d(13 + 8, 5, 1), nn.PReLU(5)
            for norm in (self.first[1], self.second[1], self.gate):
                nn.init.uniform_(norm.weight, 0.5, 1.5)
                nn.init.normal_(norm.bias, 0, 0.2)
            nn.init.normal_(self.first[1].running_mean, 0, 0.2)
            nn.init.uniform_(self.first[1].running_var, 0.5, 1.5)

        def forward(self, x: Any) -> Any:
            a = self.first(x)
            b = functional.silu(self.second(functional.max_pool2d(a, 2, ceil_mode=True)))
            c = torch.tanh(self.third(functional.avg_pool2d(b, 3, stride=1, padding=1, count_include_pad=False)))
            d = functional.elu(self.gate(self.rise(functional.pad(c, (1, 0, 0, 1), mode="reflect"))))
            size = a.shape[2:]
            d = functional.interpolate(d, size=size, mode="bilinear", align_corners=False)
            e = functional.interpolate(b, size=size, mode="nearest")
            y = self.slope(self.last(torch.cat([a, d, e], dim=1)))
            y = functional.interpolate(y, scale_factor=2, mode="bicubic", align_corners=True)
            return torch.softmax(y, dim=1), torch.sigmoid(functional.adaptive_avg_pool2d(y, (2, 3)))

    return UNet()


def unet_keras(tf: Any) -> Any:
    layers = tf.keras.layers
    x = layers.Input((16, 20, 3), batch_size=2)
    a = layers.BatchNormalization()(layers.Conv2D(6, 3, padding="same")(x))
    a = layers.LeakyReLU(negative_slope=0.1)(a)
    b = layers.MaxPooling2D(3, 2, padding="same")(a)
    b = layers.Activation("silu")(layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(b))
    c = layers.Conv2D(10, 3, dilation_rate=2, padding="same", activation="elu")(layers.AveragePooling2D(2)(b))
    c = layers.Conv2D(7, 3, strides=2, activation="tanh")(layers.ZeroPadding2D(((1, 2), (2, 1)))(c))
    d = layers.Conv2DTranspose(8, 3, strides=2, padding="same", activation="relu")(c)
    d = layers.UpSampling2D((4, 5), interpolation="nearest")(d)
    d = layers.Cropping2D(((2, 6), (3, 7)))(d)
    e = layers.UpSampling2D(2, interpolation="bilinear")(b)
    y = layers.Concatenate()([a, d, e])
    y = layers.PReLU(shared_axes=[1, 2])(layers.Conv2D(5, 1)(y))
    model = tf.keras.Model(x, [layers.Softmax()(y), layers.Dense(4, activation="sigmoid")(layers.GlobalMaxPool2D()(y))])
    for layer in model.layers:
        for variable in layer.weights:
            kind = variable.path.rpartition("/")[2]
            if kind in ("gamma", "moving_variance"):
                variable.assign(tf.random.uniform(variable.shape, 0.5, 1.5))
            elif kind in ("beta", "moving_mean", "bias", "alpha"):
                variable.assign(tf.random.uniform(variable.shape, -0.3, 0.3))
    return model


def resizes(torch: Any) -> Any:
    """Every interpolation, up and down, one beside the other."""
    functional = torch.nn.functional

    def run(x: Any) -> Any:
        def by(mode: str, **more: Any) -> Any:
            corners = {} if mode == "nearest" else {"align_corners": more.pop("corners", False)}
            return functional.interpolate(x, mode=mode, **corners, **more)

        ups = [by("nearest", size=(10, 17)), by("bilinear", size=(10, 17)), by("bicubic", size=(10, 17))]
        corners = [by("bilinear", size=(10, 17), corners=True), by("bicubic", size=(10, 17), corners=True)]
        downs = [by("nearest", size=(3, 5)), by("bilinear", size=(3, 5)), by("bicubic", size=(3, 5))]
        twice = functional.interpolate(torch.tanh(by("bilinear", scale_factor=2)), size=(7, 9), mode="nearest")
        return sum(ups[1:], ups[0]), torch.cat(corners, 1), torch.stack(downs).amax(0), twice

    return run


def resizes_keras(tf: Any) -> Any:
    def run(x: Any) -> Any:
        image = tf.transpose(x, [0, 2, 3, 1])
        ups = [tf.image.resize(image, (10, 17), method=m) for m in ("nearest", "bilinear")]
        old = tf.compat.v1.image.resize(image, (10, 17), method=0, align_corners=True)
        plain = tf.compat.v1.image.resize_nearest_neighbor(image, (11, 17), align_corners=False)
        downs = [tf.image.resize(image, (3, 5), method=m) for m in ("nearest", "bilinear")]
        twice = tf.image.resize(tf.tanh(tf.image.resize(image, (12, 16))), (7, 9), method="nearest")
        return ups[0] + ups[1], tf.nn.relu(old), plain * 0.5, tf.concat(downs, 3), twice

    return run


def pieces(torch: Any) -> Any:
    class Pieces(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = torch.nn.Embedding(11, 6)
            self.mix = torch.nn.Linear(6, 4)

        def forward(self, x: Any, k: Any) -> Any:
            left, right = x[:, 1:5, :], x[:, 2:, ::2]
            turned = torch.cat([left, right.repeat(1, 1, 2)[:, :4, :6]], dim=1).permute(2, 0, 1)
            picked = torch.index_select(turned, 0, torch.tensor([5, 0, 3])) * 0.5
            words = self.mix(self.table(k))
            best = torch.argmax(words, dim=-1)
            top, where = torch.topk(x, 3, dim=2)
            kept = torch.where(x > 0.1, x, torch.full_like(x, -0.25)).clamp(-0.7, 0.6)
            spread = torch.gather(kept, 2, (where + best[:, :1, None]) % x.shape[2])
            total = kept.pow(2).sum(dim=(1, 2), keepdim=True).sqrt() + top.mean(dim=1, keepdim=True)
            whole = (k.float() / 3.0).floor().int() - best.int()
            steps = torch.cumsum(kept, dim=1).amax(dim=2)
            parts = torch.stack(torch.chunk(words, 2, dim=2), dim=1).flatten(2)
            tall = spread.unsqueeze(1).expand(-1, 2, -1, -1).amin(dim=2)
            return picked.exp().log1p(), total + spread, whole, parts + steps[:, None, :1], tall - parts[:, :, :3]

    return Pieces()


def pieces_keras(tf: Any) -> Any:
    table = tf.Variable(tf.random.normal((11, 6)))
    mix = tf.Variable(tf.random.normal((6, 4)))

    def run(x: Any, k: Any) -> Any:
        left, right = x[:, 1:5, :], x[:, 2:6, ::2]
        turned = tf.transpose(tf.concat([left, tf.tile(right, [1, 1, 2])[:, :, :6]], 1), [2, 0, 1])
        picked = tf.gather(turned, [5, 0, 3], axis=0) * 0.5
        words = tf.matmul(tf.reshape(tf.gather(table, k), [-1, 6]), mix)
        words = tf.reshape(words, [2, 5, 4])
        best = tf.argmax(words, axis=-1, output_type=tf.int32)
        top, _ = tf.math.top_k(x, 3)
        kept = tf.clip_by_value(tf.where(x > 0.1, x, tf.fill([2, 7, 6], -0.25)), -0.7, 0.6)
        total = tf.sqrt(tf.reduce_sum(kept**2, axis=[1, 2], keepdims=True)) + tf.reduce_mean(top, axis=1, keepdims=True)
        whole = tf.cast(tf.floor(tf.cast(k, tf.float32) / 3.0), tf.int32) - best
        hot = tf.one_hot(best, 4, on_value=1.0, off_value=-1.0) - words
        first, second = tf.split(words, 2, axis=2)
        parts = tf.reshape(tf.stack([first, second], axis=1), [2, 2, -1])
        steps = tf.reduce_max(tf.math.cumsum(kept, axis=1), axis=2)
        padded = tf.pad(tf.squeeze(top[:, :1, :], axis=1), [[0, 0], [1, 2]], constant_values=0.5)
        return (
            tf.math.log(1.0 + tf.exp(picked)),
            total,
            whole,
            parts + tf.expand_dims(steps[:, :1], 1),
            hot,
            tf.nn.softplus(padded),
        )

    return run


PIECES = {
    "x": Tensor("n s c", (2, 7, 6), low=-1, high=1, integers=False),
    "k": Tensor("n t", (2, 5), dtype="int32", high=11),
}

SMALL_IMAGE = {"x": Tensor("n c h w", (2, 3, 6, 8), low=-1, high=1, integers=False)}

CASES = (
    Case(
        "unet",
        inputs={"x": Tensor("n c h w", (2, 3, 14, 18), low=-1, high=1, integers=False)},
        builders={"torch": unet},
    ),
    Case(
        "unet_keras",
        inputs={"x": Tensor("n c h w", (2, 3, 16, 20), low=-1, high=1, integers=False)},
        builders={"tensorflow": unet_keras},
    ),
    Case("resizes", inputs=SMALL_IMAGE, builders={"torch": resizes}),
    Case("resizes_keras", inputs=SMALL_IMAGE, builders={"tensorflow": resizes_keras}),
    Case("pieces", inputs=PIECES, builders={"torch": pieces}),
    Case("pieces_keras", inputs=PIECES, builders={"tensorflow": pieces_keras}),
)
