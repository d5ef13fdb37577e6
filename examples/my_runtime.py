"""A runtime with a step of its own: an emulator of a chip that rounds what it returns to eighths."""

import numpy as np

from onnx_triangulate.records.errors import Unsupported


class Emulator:
    name = "emu8"  # the party is torch>emu8
    distribution = "onnx"  # what must be installed
    after = "reference"  # held against this runtime's answer …
    step = "emulator"  # … and what differs there is the doing of this step
    double = False

    def open(self, file, *, double=False):
        from onnx.reference import ReferenceEvaluator  # an engine is imported where it is used

        evaluator = ReferenceEvaluator(str(file))
        return lambda feeds, outputs: [np.round(v * 8) / 8 for v in evaluator.run(list(outputs), dict(feeds))]

    def part(self, model, weights):
        raise Unsupported("the emulator takes whole files only")


RUNTIMES = (Emulator(),)
