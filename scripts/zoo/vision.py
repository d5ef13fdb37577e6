"""Convolutional networks of the size people ship, with random weights: what the benchmarks of large models run on.

    triangulate verify scripts/zoo/vision.py::resnet50

Statistics, scales and biases are drawn at random, so that no normalization is the identity and no bias is nothing.
"""

from __future__ import annotations

from typing import Any

from onnx_triangulate import Case, Tensor


def shuffled(torch: Any, model: Any) -> Any:
    """The model with normalization layers that are not trivial."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.1)
            torch.nn.init.normal_(module.running_mean, 0, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model


def resnet50(torch: Any) -> Any:
    nn = torch.nn

    class Bottleneck(nn.Module):
        def __init__(self, inside: int, width: int, stride: int) -> None:
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(inside, width, 1, bias=False), nn.BatchNorm2d(width)
            self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(width)
            self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
            self.shortcut = nn.Identity()
            if stride > 1 or inside != 4 * width:
                self.shortcut = nn.Sequential(
                    nn.Conv2d(inside, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width)
                )

        def forward(self, x: Any) -> Any:
            y = torch.relu(self.bn1(self.conv1(x)))
            y = torch.relu(self.bn2(self.conv2(y)))
            return torch.relu(self.bn3(self.conv3(y)) + self.shortcut(x))

    stem = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    blocks, inside = [], 64
    for width, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for index in range(count):
            blocks.append(Bottleneck(inside, width, stride if index == 0 else 1))
            inside = 4 * width
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000)]
    return shuffled(torch, nn.Sequential(*stem, *blocks, *head))


def application(name: str, size: int) -> Any:
    """A builder of one of keras.applications."""

    def build(tf: Any) -> Any:
        model = getattr(tf.keras.applications, name)(weights=None, input_shape=(size, size, 3))
        for layer in model.layers:
            kinds = {variable.path.rpartition("/")[2]: variable for variable in layer.weights}
            for kind, (low, high) in {
                "gamma": (0.5, 1.5),
                "beta": (-0.2, 0.2),
                "moving_mean": (-0.2, 0.2),
                "moving_variance": (0.5, 1.5),
                "bias": (-0.1, 0.1),
            }.items():
                if kind in kinds:
                    kinds[kind].assign(tf.random.uniform(kinds[kind].shape, low, high))
        return model

    return build


def image(size: int) -> dict[str, Tensor]:
    return {"x": Tensor("n c h w", (1, 3, size, size), low=-1, high=1, integers=False)}


CASES = (
    Case("resnet50", inputs=image(224), builders={"torch": resnet50}),
    Case("resnet50_small", inputs=image(64), builders={"torch": resnet50}),
    Case("resnet50_keras", inputs=image(224), builders={"tensorflow": application("ResNet50", 224)}),
    Case("mobilenet_v2", inputs=image(224), builders={"tensorflow": application("MobileNetV2", 224)}),
    Case("mobilenet_v2_small", inputs=image(64), builders={"tensorflow": application("MobileNetV2", 64)}),
    Case("efficientnet_b0", inputs=image(224), builders={"tensorflow": application("EfficientNetB0", 224)}),
    Case("densenet121", inputs=image(224), builders={"tensorflow": application("DenseNet121", 224)}),
)
