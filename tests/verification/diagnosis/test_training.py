"""A file that was exported in training mode from a model in inference: one cause, and not a list of nodes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from onnx_triangulate.records.verdict import Report, Verdict
from onnx_triangulate.verification.diagnosis.training import CAUSE
from onnx_triangulate.verification.verify import verify

pytestmark = pytest.mark.slow  # the engines run

SOURCE = """
import numpy as np
from onnx_triangulate import Case, Tensor

def numbers(k):
    return np.random.default_rng(k).uniform(0.5, 1.5, 3).astype(np.float32)

def model(trains):
    def build(torch):
        class Norm(torch.nn.Module):
            def __init__(self):
                super().__init__()
                for k, name in enumerate("sbmv"):
                    self.register_buffer(name, torch.tensor(numbers(k)))

            def forward(self, x):
                mean, var = (None, None) if trains else (self.m, self.v)
                normed = torch.nn.functional.batch_norm(x, mean, var, self.s, self.b, training=trains)
                return torch.relu(normed) * 2

        return Norm()
    return build

X = Tensor("n c h w", (4, 3, 5, 6), low=-1, high=2, integers=False)
CASES = [
    Case(name, inputs={"x": X}, builders={"torch": model(trains)}, onnx={"torch": f"{file}.onnx"})
    for name, trains, file in (("infers", False, "infers"), ("kept", False, "trains"), ("trains", True, "trains"),
                               ("moved", False, "moved"))
]
"""


def graph(outputs: str, attribute: str, moved: float = 0.0) -> onnx.ModelProto:
    text = f"""<ir_version: 8, opset_import: ["" : 18]>
    g (float[4,3,5,6] x) => (float[4,3,5,6] y) <float two = {{2}}> {{
        [norm] {outputs} = BatchNormalization {attribute} (x, s, b, m, v) [act] r = Relu (t) [twice] y = Mul (r, two)
    }}"""
    model = onnx.parser.parse_model(text)
    for k, name in enumerate("sbmv"):
        numbers = np.random.default_rng(k).uniform(0.5, 1.5, 3).astype(np.float32)
        numbers += np.float32(moved if name in "mv" else 0)
        model.graph.initializer.append(numpy_helper.from_array(numbers, name))
    return model


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("training")
    onnx.save(graph("t", ""), folder / "infers.onnx")
    onnx.save(graph("t, rm, rv", "<training_mode = 1>"), folder / "trains.onnx")
    onnx.save(graph("t, rm, rv", "<training_mode = 1>", 0.25), folder / "moved.onnx")  # an export moves the statistics
    (folder / "modes.py").write_text(SOURCE)
    return verify([str(folder / "modes.py")])


def verdict(report: Report, name: str) -> Verdict:
    return next(v for v in report.verdicts if v.case == f"modes/{name}")


def test_the_mode_that_was_kept_is_proved_and_no_node_is_searched_for(report: Report) -> None:
    (finding,) = verdict(report, "kept").findings
    assert (finding.cause, finding.nodes, finding.proved) == (CAUSE, ("norm",), True)
    assert finding.message.startswith(
        "the graph has BatchNormalization with training_mode=1 where the model is in inference"
    )
    (blamed,) = verdict(report, "kept").evidence.blames
    assert (blamed.blame, blamed.nodes, blamed.op) == ("export", ("norm",), "BatchNormalization")


def test_statistics_that_the_export_moved_leave_a_suspicion(report: Report) -> None:
    (finding,) = verdict(report, "moved").findings
    assert (finding.cause, finding.nodes, finding.proved) == (CAUSE, ("norm",), False)


@pytest.mark.parametrize("name", ["infers", "trains"])
def test_a_file_in_the_models_own_mode_is_faithful(report: Report, name: str) -> None:
    assert (verdict(report, name).status, verdict(report, name).findings) == ("expected", ())
