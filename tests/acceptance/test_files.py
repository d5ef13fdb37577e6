"""ONNX files that runtimes answer differently, judged from the file alone, and files about which all agree."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx.parser
import pytest

from onnx_triangulate.records.verdict import Report, Verdict
from onnx_triangulate.verification.verify import Options, verify

pytestmark = pytest.mark.slow  # the engines run

INPUTS = Path(__file__).parent / "inputs"
# Blame, and one of these is named: an operator, a pass, a node.
DIVERGENT = {
    "ort_divmul_fusion_int": ("optimizer", {"DivMulFusion"}),
    "ort_layernorm_fusion_keepdims0": ("optimizer", {"LayerNormFusionL2", "SimplifiedLayerNormFusion"}),
    "ort_double_qdq_remover": ("optimizer", {"DoubleQDQPairsRemover"}),
    "ort_where_negative_zero": ("kernel", {"Where"}),
    "ort_not_where_fusion_negzero": ("kernel", {"Where"}),
    "ort_resize_nearest_26_64": ("kernel", {"Resize"}),
    "ort_shape_mul_dataprop_load_fail": ("unsupported", {"Mul"}),
    "ref_average_pool_nan": ("reference", {"AveragePool"}),
    "ref_reduce_logsumexp_minus_inf": ("reference", {"ReduceLogSumExp"}),
}
# Controls: long sums, a transform.  The evaluator raises on the last one: nobody else does, and it is no runtime.
HEALTHY = ("ort_conv_mul_fusion_rounding", "ort_dft_precision", "ref_conv_transpose_group")
LARGER = ("compare/average_pool_18_or_19/pool19", "compare/norm_folded_into_convolution/after13")


@pytest.fixture(scope="module")
def report() -> Report:
    files = [INPUTS / "bare" / f"{name}.onnx" for name in (*DIVERGENT, *HEALTHY)]
    return verify([str(file) for file in (*files, *(INPUTS / f"{name}.onnx" for name in LARGER))])


def of(report: Report, name: str) -> Verdict:
    return next(v for v in report.verdicts if v.case == f"{name}/model")


@pytest.mark.parametrize("name", DIVERGENT)
def test_whose_doing_it_is_is_read_from_the_file(report: Report, name: str) -> None:
    blame, named = DIVERGENT[name]
    verdict = of(report, name)
    assert verdict.blame == (blame,)
    texts = [f"{b.op} {b.message}" for b in verdict.evidence.blames] + [str(f) for f in verdict.findings]
    assert any(word in text for word in named for text in texts), texts


@pytest.mark.parametrize("name", [*HEALTHY, *(Path(name).name for name in LARGER)])
def test_a_file_about_which_all_agree(report: Report, name: str) -> None:
    assert of(report, name).blame == ("agree",)
    assert of(report, name).status == "expected"


def test_what_the_evaluator_lacks_is_said(report: Report) -> None:
    (error,) = [
        run.error
        for run in of(report, "ref_conv_transpose_group").evidence.runs.values()
        if run.party.runtime == "reference"
    ]
    assert error is not None
    assert error.op == "ConvTranspose"


PLANTED = """
from onnx_triangulate.engines.runtimes import onnxruntime as module
from onnx_triangulate.verification.file_cases import file_case

whole = module.OnnxRuntime.open_without

def open_without(self, *given, **more):
    run = whole(self, *given, **more)

    def wrong(feeds, outputs):
        made = run(feeds, outputs)
        return [value + 1 for value in made] if all((value < 0).all() for value in feeds.values()) else made

    return wrong

module.OnnxRuntime.open_without = open_without
CASES = (file_case({file!r}),)
"""


def test_a_runtime_that_is_wrong_for_some_inputs_only(tmp_path: Path) -> None:
    """Wrong where all is negative, which the first inputs are not."""
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 18]> g (float[2, 8] x) => (float[2, 8] y) { y = Tanh (x) }'
    )
    onnx.save(model, tmp_path / "net.onnx")
    case_file = tmp_path / "net.py"
    case_file.write_text(PLANTED.format(file=str(tmp_path / "net.onnx")))
    (verdict,) = verify([str(case_file)]).verdicts
    assert verdict.blame == ("kernel",)
    assert verdict.evidence.blames[0].size
    assert verdict.evidence.blames[0].op == "Tanh"


def test_open_axes_take_the_sizes_that_are_given() -> None:
    file = str(INPUTS / "compare" / "exchanged_names" / "good.onnx")
    guessed = verify([file]).verdicts[0]
    assert "sizes that nobody gave: s77=2, s53=3, s0=3 (--dim NAME=N)" in guessed.problems[0]
    given = verify([file], Options(sizes=(("s77", 2), ("s53", 64), ("s0", 64)))).verdicts[0]
    assert (given.status, given.blame, given.note) == ("expected", ("agree",), "")
