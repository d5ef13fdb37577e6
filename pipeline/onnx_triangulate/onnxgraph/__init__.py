"""An ONNX graph: loaded without trust, its nodes, names, shapes, constants and functions."""
