"""onnx-triangulate: who parted from whom, at which node, why, and what one change removes it."""

__version__ = "0.1.0"
