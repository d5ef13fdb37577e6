"""Pairs of graphs that were once answered wrongly, and what is right of each.

Every pair that differs has a witness beside it: arrays on which ONNX Runtime itself tells the two apart, which is run
here as well, so that no pair is called different on our own word.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from onnx_triangulate.comparison.options import Options
from onnx_triangulate.comparison.run import compare_files
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.graph_comparison import GraphComparison

pytestmark = pytest.mark.slow

INPUTS = Path(__file__).parent / "inputs"
ATTACKS = INPUTS / "attacks"

# The sizes that hide the fault where a pair differs at others.
APART = {
    "001_reshape_batch_baked": {"n": 2},
    "003_same_upper_vs_pads": {"h": 8, "w": 8},
    "005_ceil_mode": {"h": 4, "w": 4},
    "007_mean_as_sum_times_const": {"n": 2, "t": 12},
    "009_squeeze_all": {"n": 3},
    "011_flatten_vs_reshape": {"n": 2, "c": 3},
    "013_position_slice": {"b": 1, "t": 6},
    "015_lstm_t1_recurrence": {"t": 1},
    "017_center_crop_baked": {"h": 6, "w": 6},
    "019_attention_scale_const": {"b": 1, "t": 4, "d": 8},
    "021_gather_vs_slice_dynamic": {"n": 5},
    "023_layernorm_axes_dynamic": {"n": 2, "c": 4},
    "025_ids_through_float32": {},
    "027_uint8_as_int8": {},
    "029_int32_mul_div": {},
    "031_positions_through_f16": {},
    "033_softmax_naive": {},
    "035_where_clamp_dropped": {},
    "037_max_vs_where_nan": {},
    "039_isnan_guard_lost": {},
    "041_where_isinf": {},
    "043_round_vs_floor_half": {},
    "045_argmax_of_distinct_scaled": {},
    "047_if_folded": {},
    "049_range_sum": {},
    "051_flag_input_ignored": {},
    "053_onehot_matmul_row": {},
    "055_pad_id_mask_lost": {},
    "057_threshold_bool": {},
    "059_dead_relu": {},
    "061_softmax_saturated": {},
    "063_relu6_all_sat": {},
    "065_nms_nothing": {},
    "067_add_order_catastrophic": {},
}

# Pairs that mean the same, by folder, and the arrays that the two are to be held on where there are some.
TOGETHER = [
    ("attacks/069_fp16_add_mul", "a", "b"),
    ("attacks/071_h13_fp16_renamed", "a", "b"),
    ("attacks/073_h15_fp16_resblock_self", "a", "b"),
    ("attacks/075_fp16_resnet_self", "b", "b"),
    ("attacks/079_qdq_vs_qlinearmatmul", "a", "b"),
    ("attacks/081_negative_ids_normalized", "a", "b"),
    *[("compare/norm_folded_into_convolution", f"before{n}", f"after{n}") for n in ("9", "11", "13", "")],
    *[("compare/grid_sample_16_or_20", f"{m}16", f"{m}20") for m in ("cubic", "linear", "linear_zeros", "nearest")],
    ("compare/average_pool_18_or_19", "pool", "convolution"),
    ("compare/average_pool_18_or_19", "pool13", "pool19"),
    ("compare/quantized_conv_saturates", "model", "optimized"),
    ("compare/quantized_conv_saturates", "model13", "optimized13"),
    ("house/inlined_default", "a", "b"),
    ("hostile", "in_file", "in_file"),
    ("hostile", "strings_bool", "strings_bool"),
    ("hostile", "bf16_nan", "bf16_nan"),
    ("hostile/hijack", "a", "a"),
]


def compared(folder: str, left: str, right: str, **dims: int) -> GraphComparison:
    return compare_files(INPUTS / folder / f"{left}.onnx", INPUTS / folder / f"{right}.onnx", Options(dims=dims))


def runs(file: Path, feeds: Mapping[str, Array]) -> list[Array] | None:
    """What ONNX Runtime makes of the feeds without its optimizer; None where it refuses them."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        return session.run(None, {i.name: feeds[i.name] for i in session.get_inputs() if i.name in feeds})
    except Exception:  # ONNX Runtime has a class of its own for every reason
        return None


@pytest.mark.parametrize("name", APART)
def test_a_pair_that_differs_is_never_the_same(name: str) -> None:
    with np.load(ATTACKS / name / "witness.npz") as archive:
        witness = dict(archive)
    a, b = (runs(ATTACKS / name / f"{side}.onnx", witness) for side in "ab")
    assert a is not None or b is not None
    assert a is None or b is None or not all(map(np.array_equal, a, b)), "the witness shows no difference"
    assert compared(f"attacks/{name}", "a", "b", **APART[name]).exit_status == 1


@pytest.mark.parametrize(("folder", "left", "right"), TOGETHER)
def test_a_pair_that_means_the_same_is_the_same_either_way(folder: str, left: str, right: str) -> None:
    for pair in {(left, right), (right, left)}:
        assert compared(folder, *pair).exit_status == 0


def test_a_rounding_trick_against_round_is_not_a_difference() -> None:
    assert compared("attacks/077_round_by_magic_number", "a", "b").outcome != "differs"


def test_outputs_whose_names_were_exchanged_differ() -> None:
    found = compared("compare/exchanged_names", "good", "swapped", s77=2, s53=64, s0=64)
    assert found.outcome == "differs"


def test_a_file_with_blocked_layouts_is_read_or_declined() -> None:
    assert compared("compare/ort_all_dump", "convcat", "convcat.ortall").outcome != "differs"


@pytest.mark.parametrize("name", ["a", "n"])
def test_a_file_that_draws_numbers_is_not_compared_with_itself(name: str) -> None:
    assert compared("house/random_operator", name, name).outcome == "uncompared"


@pytest.mark.parametrize("name", ["self_218", "self_30", "self_415"])
def test_a_file_never_differs_from_itself(name: str) -> None:
    assert compared(f"hostile/{name}", "a", "a").outcome != "differs"


def test_the_node_with_exchanged_operands_is_named() -> None:
    found = compared("attacks/083_rec_4_raw_swap_concat", "a", "b")
    named = {node for faulty in found.faults for node in (faulty.node, *faulty.nodes)}
    assert "node_Concat_111" in named
    assert "node_Shape_13" not in {faulty.node for faulty in found.faults}


def test_another_attribute_is_the_graphs_and_not_the_kernels() -> None:
    found = compared("attacks/085_unique_sorted_attribute", "a", "b")
    assert [(faulty.node, faulty.party) for faulty in found.faults] == [("Unique_0", "B")]
