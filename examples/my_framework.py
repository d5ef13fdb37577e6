"""A framework: numpy, whose models are functions of numpy; nothing is exported."""

import numpy as np

from onnx_triangulate.records import npz


class Model:
    def __init__(self, case, values):
        self.case = case
        self.function = case.builders["numpy"](np, **{name: values[name] for name in case.parameters})

    def state(self):
        return {}  # it has no weights

    def __call__(self, values, *, seed):
        return {next(iter(self.case.outputs)): self.function(*(values[name] for name in self.case.inputs))}


class Numpy:
    name, distributions, exporters, layouts = "numpy", ("numpy",), (), {}
    warm = export = roundings = values = lambda self, *arguments, **more: None  # nothing is exported or traced

    def instance(self, case, values, *, seed):
        return Model(case, values)

    def native(self, case, values, *, double, seed):
        values = {name: np.asarray(v, np.float64 if double else np.float32) for name, v in values.items()}
        return Model(case, values)(values, seed=seed)

    def perturbed(self, case, values, *, double, seed, jitters):
        raise NotImplementedError

    def weights(self, case, values, folder, *, seed):
        return npz.save(folder / "weights.npz", {})


FRAMEWORK = Numpy()
