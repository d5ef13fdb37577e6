"""The comparer never passes what is not the same: every rule of it has a fault planted here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from onnx_triangulate.numerics.compare import Comparison, compare, same_bits
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.case import Absent

NAN, INF = math.nan, math.inf
PASSES = ("equal", "rounding")


def one(left: Any, right: Any, allowed: Any = 0.0, **how: bool) -> Comparison:
    """Two arrays as the only output; ``allowed=None`` says that no bound is known."""
    bound = None if allowed is None else np.asarray(allowed, dtype=np.float64)
    return compare({"y": np.asarray(left)}, {"y": np.asarray(right)}, {"y": bound}, **how)


def f32(*values: float) -> Array:
    return np.array(values, dtype=np.float32)


def f64(*values: float) -> Array:
    return np.array(values, dtype=np.float64)


class TestNotANumber:
    @pytest.mark.parametrize("allowed", [0.0, 1.0, INF, None])
    @pytest.mark.parametrize(
        ("left", "right"),
        [
            (f32(1, 2), f32(NAN, NAN)),  # F1: every output of the runtime is NaN
            (f32(1, 2), f32(1, NAN)),  # F13
            (f32(NAN, 2), f32(1, 2)),
            (f32(1, 2), f32(1, INF)),  # F3
            (f32(1, INF), f32(1, -INF)),
            (f32(1, INF), f32(1, NAN)),
            (f32(1, 3.4e38), f32(1, INF)),
            (f32(1, 0), f32(1, -INF)),
        ],
    )
    def test_non_finite_against_anything_else_diverges(self, left: Array, right: Array, allowed: float | None) -> None:
        for a, b in ((left, right), (right, left)):
            found = one(a, b, allowed)
            assert (found.outcome, found.compared, found.ratio) == ("diverges", 2, INF)
            assert found.max_abs == INF

    @pytest.mark.parametrize("allowed", [0.0, None])
    def test_the_same_ones_are_equal(self, allowed: float | None) -> None:
        both = f32(NAN, INF, -INF, 1)
        found = one(both, both.copy(), allowed)
        assert (found.outcome, found.compared, found.max_abs) == ("equal", 4, 0.0)

    def test_nan_of_any_sign_and_payload_is_nan(self) -> None:
        strange = np.array([0x7FC00001, 0xFFC12345], dtype=np.uint32).view(np.float32)
        assert one(f32(NAN, NAN), strange).outcome == "equal"

    def test_the_worst_element_is_the_non_finite_one(self) -> None:
        found = one(f32(1, 2, 3), f32(9, 2, NAN))
        assert found.index == (2,)
        assert found.values is not None
        assert math.isnan(found.values[1])
        assert found.differing == 2

    @pytest.mark.parametrize("allowed", [0.5, None])
    def test_nan_only_says_so(self, allowed: float | None) -> None:
        assert one(f32(1, 2), f32(NAN, 2), allowed).nan_only
        assert not one(f32(1, 2), f32(INF, 2), allowed).nan_only
        assert not one(f32(1, 2), f32(NAN, INF), allowed).nan_only

    def test_nan_only_is_not_said_where_another_element_parts(self) -> None:
        assert not one(f32(1, 2), f32(NAN, 9), 0.5).nan_only
        assert one(f32(1, 2), f32(NAN, 2.25), 0.5).nan_only

    def test_nan_only_holds_for_all_outputs_or_is_not_said(self) -> None:
        left, zero = {"y": f32(1), "z": f32(1)}, {"y": np.zeros(()), "z": np.zeros(())}
        assert compare(left, {"y": f32(NAN), "z": f32(1)}, zero).nan_only
        assert not compare(left, {"y": f32(NAN), "z": f32(2)}, zero).nan_only
        assert not compare(left, {"y": f32(1), "z": f32(2)}, zero).nan_only

    def test_a_definition_that_overflows_is_the_infinity_it_rounds_to(self) -> None:
        found = one(f64(1e300, 1), f32(INF, 1), 0.0, definition=True)
        assert (found.outcome, found.max_abs) == ("equal", 0.0)
        assert one(f64(1e300, 1), f32(INF, 2), 0.0, definition=True).differing == 1
        assert one(f64(1e300, 1), f32(-INF, 1), 0.0, definition=True).outcome == "diverges"
        assert one(f64(1e30, 1), f32(INF, 1), 0.0, definition=True).outcome == "diverges"


class TestShape:
    @pytest.mark.parametrize(
        ("left", "right"),
        [
            ((3,), (1, 3)),
            ((2, 3), (1, 3)),
            ((2, 3), (3,)),
            ((1,), ()),
            ((4,), (1,)),
            ((2, 3), (2, 3, 1)),
            ((0, 3), (3, 0)),
        ],
    )
    def test_broadcastable_shapes_diverge(self, left: tuple[int, ...], right: tuple[int, ...]) -> None:
        """F3, F8: everything is one, so that only the shape can tell."""
        found = one(np.ones(left, np.float32), np.ones(right, np.float32), 1e9)
        assert (found.outcome, found.compared) == ("diverges", 0)
        assert found.problem is not None
        assert "shape" in found.problem

    def test_a_scalar_is_compared(self) -> None:
        assert one(np.float32(1), np.float32(1)).compared == 1
        assert one(np.float32(1), np.float32(NAN)).outcome == "diverges"
        found = one(np.float32(1), np.float32(3), 0.5)
        assert (found.outcome, found.index, found.values, found.ratio) == ("diverges", (), (1.0, 3.0), 4.0)
        assert one(np.int32(1), np.int32(3)).index == ()


class TestType:
    @pytest.mark.parametrize(
        ("left", "right"),
        [
            ("float32", "float64"),
            ("float32", "float16"),
            ("float32", "int32"),
            ("int32", "int64"),
            ("uint8", "int8"),
            ("bool", "uint8"),
            ("bool", "float32"),
        ],
    )
    def test_another_type_diverges(self, left: str, right: str) -> None:
        """F3: all values are one in both."""
        found = one(np.ones(3, left), np.ones(3, right), 1e9)
        assert (found.outcome, found.compared) == ("diverges", 0)
        assert found.problem == f"y is {left} against {right}"

    @pytest.mark.parametrize(("left", "right"), [("float64", "float32"), ("float64", "float16"), ("int64", "int32")])
    def test_a_definition_speaks_for_narrower_types_of_its_kind(self, left: str, right: str) -> None:
        assert one(np.ones(3, left), np.ones(3, right), definition=True).outcome == "equal"

    @pytest.mark.parametrize(
        ("left", "right"), [("float64", "int64"), ("int64", "float32"), ("bool", "int64"), ("int64", "bool")]
    )
    def test_a_definition_does_not_speak_for_another_kind(self, left: str, right: str) -> None:
        assert one(np.ones(3, left), np.ones(3, right), 1e9, definition=True).outcome == "diverges"

    def test_empty_arrays_of_another_type_diverge(self) -> None:
        assert one(np.ones((0, 2), np.float32), np.ones((0, 2), np.int32)).outcome == "diverges"


class TestIntegers:
    @pytest.mark.parametrize(
        ("dtype", "left", "right", "distance"),
        [
            ("uint8", 0, 1, 1),  # F4: 255 by wrapping
            ("int8", -128, 127, 255),  # F4: 1 by wrapping
            ("uint8", 255, 0, 255),
            ("int16", -32768, 32767, 65535),
            ("int32", -(2**31), 2**31 - 1, 2**32 - 1),
            ("int64", -(2**63), 2**63 - 1, 2**64 - 1),
            ("int64", 2**62, 2**62 + 1, 1),  # equal as floats
            ("uint64", 2**64 - 1, 0, 2**64 - 1),
            ("uint64", 2**64 - 1, 2**64 - 2, 1),
            ("bool", True, False, 1),
        ],
    )
    def test_distances_do_not_wrap(self, dtype: str, left: int, right: int, distance: int) -> None:
        for a, b in ((left, right), (right, left)):
            found = one(np.array([a, a], dtype), np.array([a, b], dtype), 1e30)
            assert (found.outcome, found.compared, found.differing) == ("diverges", 2, 1)
            assert (found.max_abs, found.index) == (float(distance), (1,))

    def test_an_integer_definition_is_held_against_any_width_without_wrapping(self) -> None:
        assert one(np.array([-1, 5]), np.array([2**64 - 1, 5], np.uint64), definition=True).max_abs == 2.0**64
        found = one(np.array([2**63 - 1]), np.array([2**63], np.uint64), definition=True)
        assert (found.outcome, found.max_abs) == ("diverges", 1.0)
        assert one(np.array([300]), np.array([44], np.uint8), definition=True).outcome == "diverges"

    def test_a_bound_does_not_excuse_an_integer(self) -> None:
        assert one(np.array([1, 2]), np.array([1, 3]), 5.0).outcome == "diverges"

    def test_equal_ones_are_equal(self) -> None:
        found = one(np.array([True, False]), np.array([True, False]))
        assert (found.outcome, found.compared, found.max_abs) == ("equal", 2, 0.0)

    def test_text(self) -> None:
        assert one(np.array(["a", "b"]), np.array(["a", "b"])).outcome == "equal"
        found = one(np.array(["a", "b"]), np.array(["a", "c"]))
        assert (found.outcome, found.index, found.max_abs) == ("diverges", (1,), None)


class TestOutputs:
    @pytest.mark.parametrize(
        ("left", "right"), [({"y", "z"}, {"y"}), ({"y"}, {"y", "z"}), ({"y"}, {"z"}), (set(), {"y"})]
    )
    def test_an_output_that_one_side_lacks_is_missing(self, left: set[str], right: set[str]) -> None:
        """F10: whatever the other outputs are."""
        found = compare(
            dict.fromkeys(left, f32(1)), dict.fromkeys(right, f32(1)), dict.fromkeys(left | right, np.array(9.0))
        )
        assert (found.outcome, found.compared) == ("missing", 0)
        assert found.problem is not None
        assert (found.output or "") in left ^ right

    def test_the_side_that_lacks_it_is_named(self) -> None:
        assert "the right side has no output z" in str(compare({"y": f32(1), "z": f32(1)}, {"y": f32(1)}, {}).problem)
        assert "the left side has no output z" in str(compare({"y": f32(1)}, {"y": f32(1), "z": f32(1)}, {}).problem)

    @pytest.mark.parametrize(
        "outputs",
        [
            {},
            {"y": np.zeros((0, 3), np.float32)},
            {"y": Absent("not a leaf")},
            {"y": np.zeros(0, np.int64), "g": Absent("x")},
        ],
    )
    def test_nothing_compared_is_never_agreement(self, outputs: Mapping[str, Array | Absent]) -> None:
        """F18."""
        found = compare(outputs, dict(outputs), dict.fromkeys(outputs, np.array(1.0)))
        assert (found.outcome, found.compared) == ("missing", 0)
        assert "nothing was compared" in str(found.problem)

    def test_absent_on_both_sides_is_equal_and_not_counted(self) -> None:
        found = compare({"g": Absent("a"), "y": f32(1, 2)}, {"g": Absent("b"), "y": f32(1, 2)}, {})
        assert (found.outcome, found.compared) == ("equal", 2)

    @pytest.mark.parametrize("value", [f32(0), f32(NAN), np.zeros((0, 2), np.float32)])
    def test_absent_on_one_side_diverges(self, value: Array) -> None:
        for left, right in ((Absent("a"), value), (value, Absent("a"))):
            found = compare({"g": left, "y": f32(1)}, {"g": right, "y": f32(1)}, {"g": np.array(9.0)})
            assert found.outcome == "diverges"
            assert f"the {'left' if left is not value else 'right'} side only" in str(found.problem)

    def test_the_worst_output_speaks_and_all_are_counted(self) -> None:
        left = {"a": f32(1, 1), "b": f32(1, 1), "c": f32(1, 1), "d": np.zeros((0,), np.float32)}
        right = {"a": f32(1, 1.25), "b": f32(9, 1), "c": f32(1, 2), "d": np.zeros((0,), np.float32)}
        found = compare(left, right, {"a": np.array(0.5), "b": np.array(1.0), "c": np.array(0.25)})
        assert (found.outcome, found.compared, found.output) == ("diverges", 6, "b")
        assert (found.max_abs, found.ratio, found.differing) == (8.0, 8.0, 3)

    def test_the_worst_output_is_by_ratio_and_the_largest_difference_is_said(self) -> None:
        left, right = {"a": f32(1), "b": f32(100)}, {"a": f32(2), "b": f32(110)}
        found = compare(left, right, {"a": np.array(0.01), "b": np.array(9.0)})
        assert (found.output, found.values, found.max_abs) == ("a", (1.0, 2.0), 10.0)

    def test_undecided_outweighs_rounding_and_yields_to_divergence(self) -> None:
        left, right = {"a": f32(1), "b": f32(1)}, {"a": f32(1.25), "b": f32(1.25)}
        assert compare(left, right, {"a": np.array(1.0)}).outcome == "missing"
        assert compare(left, right, {"a": np.array(0.0)}).outcome == "diverges"


class TestBound:
    @pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
    def test_exactly_met_is_rounding_and_one_ulp_over_diverges(self, dtype: str) -> None:
        left, right = np.array([1, 2, 3], dtype), np.array([1, 2.5, 3], dtype)
        met, over = one(left, right, 0.5), one(left, right, math.nextafter(0.5, 0))
        assert (met.outcome, met.ratio, met.index, met.differing) == ("rounding", 1.0, (1,), 1)
        assert (over.outcome, over.index, over.differing) == ("diverges", (1,), 1)
        assert over.ratio is not None
        assert over.ratio > 1

    def test_one_ulp_of_the_result_over_diverges(self) -> None:
        right = np.nextafter(np.float32(2.5), np.float32(3))
        assert one(f32(2), np.array([right]), 0.5).outcome == "diverges"

    @pytest.mark.parametrize(("left", "right"), [(2.0, 2.0 + 2**-51), (2.0**60, 2.0**60 + 256), (1e-320, 1.1e-320)])
    def test_float64_is_compared_to_its_last_bit(self, left: float, right: float) -> None:
        gap = abs(right - left)
        assert one(f64(left), f64(right), 0.0).outcome == "diverges"
        assert one(f64(left), f64(right), gap).outcome == "rounding"
        assert one(f64(left), f64(right), math.nextafter(gap, 0)).outcome == "diverges"

    @pytest.mark.parametrize("scale", [1e-6, 1e-30, 1e-40, 1e-45])
    def test_tiny_and_entirely_wrong_diverges(self, scale: float) -> None:
        """F11, subnormals included: no absolute tolerance hides them."""
        right, wrong = (np.array([1, 2, 3]) * scale).astype(np.float32), np.zeros(3, np.float32)
        found = one(right, wrong, np.abs(right).astype(np.float64) * 2**-20)
        assert (found.outcome, found.differing) == ("diverges", 3)
        assert one(right, wrong, 0.0).outcome == "diverges"

    def test_each_element_has_its_own(self) -> None:
        found = one(f32(1, 100), f32(1.5, 100.5), f64(0.25, 1))
        assert (found.outcome, found.index, found.ratio, found.differing) == ("diverges", (0,), 2.0, 1)
        assert one(f32(1, 100), f32(1.125, 100.5), f64(0.25, 1)).outcome == "rounding"

    def test_the_worst_is_by_ratio_and_not_by_size(self) -> None:
        found = one(f32(1, 1000), f32(1.5, 1010), f64(0.01, 5))
        assert (found.index, found.max_abs) == ((0,), 10.0)

    def test_unknown_leaves_a_difference_undecided(self) -> None:
        found = one(f32(1, 2), f32(1, 2.5), None)
        assert (found.outcome, found.compared, found.ratio, found.max_abs) == ("missing", 2, None, 0.5)
        assert (found.index, found.values, found.differing) == ((1,), (2.0, 2.5), 1)
        assert "no bound is known" in str(found.problem)
        assert compare({"y": f32(1)}, {"y": f32(2)}, {}).outcome == "missing"
        assert one(f32(1, 2), f32(1, 2), None).outcome == "equal"

    @pytest.mark.parametrize("bound", [INF, NAN])
    def test_a_bound_that_is_no_number_is_none(self, bound: float) -> None:
        """gamma is infinite where k u reaches one: a difference inside infinity is no rounding."""
        found = one(f32(1, 2), f32(1, 2.5), bound)
        assert (found.outcome, found.differing, found.ratio) == ("missing", 1, None)
        assert one(f32(1, 2), f32(9, 2.5), f64(0.5, bound)).outcome == "diverges"
        assert one(f32(1, 2), f32(1.25, 2.5), f64(0.5, bound)).outcome == "missing"
        assert one(f32(1, 2), f32(1.25, 2), f64(0.5, bound)).outcome == "rounding"

    def test_a_negative_bound_permits_nothing(self) -> None:
        assert one(f32(1, 2), f32(1, 2.5), -1.0).outcome == "diverges"
        assert one(f32(1, 2), f32(1, 2), -1.0).outcome == "equal"

    @pytest.mark.skipif(np.finfo(np.longdouble).nmant <= 52, reason="no wider type here")
    def test_a_difference_of_float64_is_not_rounded_into_the_bound(self) -> None:
        assert one(f64(1.0), f64(-(2.0**-60)), 1.0).outcome == "diverges"
        assert one(f64(1.0), f64(2.0**-60), 1.0).outcome == "rounding"

    def test_one_of_another_shape_raises(self) -> None:
        with pytest.raises(ValueError, match="broadcast"):
            one(f32(1, 2), f32(1, 3), f64(1, 1, 1))


class TestDefinition:
    def test_what_rounds_to_the_result_is_equal(self) -> None:
        found = one(f64(0.1, 1 / 3), f32(0.1, 1 / 3), 0.0, definition=True)
        assert found.outcome == "equal"
        assert found.max_abs is not None
        assert 0 < found.max_abs < 1e-8

    def test_the_next_float_is_not(self) -> None:
        beside = np.nextafter(np.float32(1 / 3), np.float32(1))
        assert one(f64(1 / 3), np.array([beside]), 0.0, definition=True).outcome == "diverges"
        assert one(f64(1 / 3), np.array([beside]), 2**-24, definition=True).outcome == "rounding"

    def test_a_correctly_rounded_element_is_not_counted_among_the_wrong(self) -> None:
        found = one(f64(1 / 3, 1), f32(1 / 3, 2), 0.0, definition=True)
        assert (found.outcome, found.differing, found.index) == ("diverges", 1, (1,))

    def test_without_a_definition_types_must_agree(self) -> None:
        assert one(f64(0.5), f32(0.5)).outcome == "diverges"

    def test_half_precision(self) -> None:
        definition = f64(0.1, 65504, 6e-8)
        assert one(definition, definition.astype(np.float16), 0.0, definition=True).outcome == "equal"
        assert one(definition, np.array([0.1, 65504, 0], np.float16), 0.0, definition=True).outcome == "diverges"

    def test_bfloat16(self) -> None:
        rounded = f64(0.1, 3.0).astype(ml_dtypes.bfloat16)
        assert one(f64(0.1, 3.0), rounded, 0.0, definition=True).outcome == "equal"
        assert one(f64(0.1, 4.0), rounded, 0.0, definition=True).outcome == "diverges"
        assert one(rounded, rounded.copy()).outcome == "equal"


class TestSignedZero:
    def test_is_a_difference(self) -> None:
        found = one(f32(0.0, 1), f32(-0.0, 1))
        assert (found.outcome, found.index, found.max_abs, found.differing) == ("diverges", (0,), 0.0, 1)
        assert found.explanation == "1 zeros differ in sign"

    def test_is_equal_with_a_note_where_nothing_specifies_it(self) -> None:
        found = one(f32(0.0, -0.0, 1), f32(-0.0, 0.0, 1), zero_sign_open=True)
        assert (found.outcome, found.compared, found.explanation) == ("equal", 3, "2 zeros differ in sign")

    def test_is_inside_a_bound_above_zero(self) -> None:
        assert one(f32(0.0, 1), f32(-0.0, 1), 1e-7).outcome == "equal"
        assert one(f32(0.0, 1), f32(-0.0, 1), f64(0, 1)).outcome == "diverges"
        assert one(f32(0.0, 1), f32(-0.0, 1), f64(1, 0)).outcome == "equal"

    def test_is_undecided_without_a_bound(self) -> None:
        assert one(f32(0.0, 1), f32(-0.0, 1), None).outcome == "missing"
        assert one(f32(0.0, 1), f32(-0.0, 1), None, zero_sign_open=True).outcome == "equal"

    def test_open_excuses_zeros_only(self) -> None:
        found = one(f32(0.0, 1), f32(-0.0, 2), zero_sign_open=True)
        assert (found.outcome, found.index, found.differing) == ("diverges", (1,), 1)
        assert one(f32(1e-45, 1), f32(-1e-45, 1), zero_sign_open=True).outcome == "diverges"

    def test_open_beside_a_definition_that_only_rounds(self) -> None:
        """What is equal by rounding to the result's type stays so beside a zero of the other sign."""
        found = one(f64(1 / 3, 0.0), f32(1 / 3, -0.0), 0.0, definition=True, zero_sign_open=True)
        assert (found.outcome, found.explanation) == ("equal", "1 zeros differ in sign")

    def test_underflow_keeps_the_sign(self) -> None:
        assert one(f64(-1e-60), f32(-0.0), 0.0, definition=True).outcome == "equal"
        assert one(f64(-1e-60), f32(0.0), 0.0, definition=True).outcome == "diverges"


class TestTransposed:
    def test_is_explained_and_diverges(self) -> None:
        """F7: with equal dimensions only the values can tell."""
        left = np.arange(16, dtype=np.float32).reshape(4, 4)
        found = one(left, left.T.copy())
        assert (found.outcome, found.compared) == ("diverges", 16)
        assert found.explanation == "equals the other side transposed by (1, 0)"

    def test_with_other_dimensions(self) -> None:
        left = np.arange(210, dtype=np.float32).reshape(1, 7, 5, 6)
        found = one(left, np.transpose(left, (0, 2, 3, 1)))
        assert found.outcome == "diverges"
        assert found.explanation == "equals the other side transposed by (0, 3, 1, 2)"
        assert np.array_equal(np.transpose(np.transpose(left, (0, 2, 3, 1)), (0, 3, 1, 2)), left)

    @pytest.mark.parametrize("bound", [0.5, np.full((3, 3), 0.5)])
    def test_within_the_bound(self, bound: Any) -> None:
        left = np.arange(9, dtype=np.float32).reshape(3, 3)
        found = one(left, left.T + np.float32(0.25), bound)
        assert (found.outcome, found.explanation) == ("diverges", "equals the other side transposed by (1, 0)")
        assert one(left, left.T + np.float32(0.75), bound).explanation is None

    def test_of_a_definition_integers_and_special_values(self) -> None:
        left = f64(1 / 3, NAN, INF, 2 / 3).reshape(2, 2)
        found = one(left, left.T.astype(np.float32), 0.0, definition=True)
        assert (found.outcome, found.explanation) == ("diverges", "equals the other side transposed by (1, 0)")
        whole = np.arange(6).reshape(2, 3)
        assert one(whole, whole.T.copy()).explanation == "equals the other side transposed by (1, 0)"

    def test_what_is_merely_wrong_is_not_explained_so(self) -> None:
        left = np.arange(9, dtype=np.float32).reshape(3, 3)
        assert one(left, left[::-1].copy()).explanation is None
        assert one(left, np.full((3, 3), np.float32(NAN))).explanation is None
        boundless = one(f32(1, 2, 3, INF).reshape(2, 2), f32(5, 6, 7, -INF).reshape(2, 2), INF)
        assert (boundless.outcome, boundless.explanation) == ("diverges", None)

    def test_not_being_turned_at_all_is_no_explanation(self) -> None:
        left, right = f32(0.0, 1, 2, 3).reshape(2, 2), f32(-0.0, 1, 2, 3).reshape(2, 2)
        assert one(left, right).explanation == "1 zeros differ in sign"


FLOATS = st.sampled_from([np.float16, np.float32, np.float64])
TYPES = st.sampled_from(["bool", "int8", "uint8", "int64", "uint64", "float16", "float32", "float64"])
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=1, max_side=4)


def arrays(dtype: st.SearchStrategy[Any]) -> st.SearchStrategy[Array]:
    return dtype.flatmap(lambda kind: hnp.arrays(kind, SHAPES))


@settings(max_examples=120, deadline=None, derandomize=True)
@given(st.dictionaries(st.sampled_from("abc"), arrays(TYPES), min_size=1), st.sampled_from([0.0, 1.0, INF, None]))
def test_anything_equals_its_copy(outputs: dict[str, Array], bound: float | None) -> None:
    allowed = {name: None if bound is None else np.asarray(bound) for name in outputs}
    found = compare(outputs, {name: array.copy() for name, array in outputs.items()}, allowed)
    assert (found.outcome, found.compared) == ("equal", sum(array.size for array in outputs.values()))
    assert all(same_bits(array, array.copy()) for array in outputs.values())


@settings(max_examples=120, deadline=None, derandomize=True)
@given(st.data())
def test_a_change_of_any_element_of_any_output_is_seen(data: st.DataObject) -> None:
    """One bit anywhere, whichever output, however wide the bound: never equal; and the two sides may be exchanged."""
    left = data.draw(st.dictionaries(st.sampled_from("abc"), arrays(TYPES), min_size=1))
    name = data.draw(st.sampled_from(sorted(left)))
    changed = left[name].copy()
    place = data.draw(st.tuples(*[st.integers(0, side - 1) for side in changed.shape]))
    changed[place] = data.draw(hnp.from_dtype(changed.dtype).filter(lambda v: not same_bits(v, changed[place])))
    right = {**left, name: changed}
    assert not same_bits(left[name], changed)
    for bound in (np.asarray(0.0), np.asarray(1e-300), None):
        allowed = {key: np.asarray(0.0) if key != name else bound for key in left}
        found, mirrored = compare(left, right, allowed), compare(right, left, allowed)
        zeros = changed.dtype.kind == "f" and changed[place] == left[name][place]
        assert found.outcome != "equal" or (zeros and bound is not None and bound > 0)
        assert (found.outcome == "diverges") == (mirrored.outcome == "diverges")
        assert (found.outcome, found.compared, found.ratio) == (mirrored.outcome, mirrored.compared, mirrored.ratio)
        if bound is not None and bound == 0:
            assert (found.outcome, found.output, found.index, found.differing) == ("diverges", name, place, 1)
        else:
            assert found.outcome not in PASSES or (bound is not None and changed.dtype.kind == "f")


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.data(), st.floats(0, 1e3, allow_subnormal=True))
@example(None, 0.0)
def test_beyond_the_bound_diverges_and_inside_it_is_rounding(data: st.DataObject | None, bound: float) -> None:
    if data is None:
        left, right = f64(1.0), f64(1.0 + 2**-52)
    else:
        finite = {"allow_nan": False, "allow_infinity": False}
        left = data.draw(hnp.arrays(np.float32, SHAPES, elements=st.floats(-1e3, 1e3, width=32, **finite)))
        right = data.draw(hnp.arrays(np.float32, left.shape, elements=st.floats(-1e3, 1e3, width=32, **finite)))
    apart = np.abs(left.astype(np.longdouble) - right.astype(np.longdouble))
    found = one(left, right, bound)
    if (apart > bound).any():
        assert (found.outcome, found.differing) == ("diverges", int((apart > bound).sum()))
        assert found.ratio is not None
        assert found.ratio > 1
    elif (apart > 0).any():
        assert found.outcome == "rounding"
        assert found.ratio is not None
        assert 0 <= found.ratio <= 1
    if (apart > 0).any():
        assert found.index is not None
        assert found.max_abs == float(apart.max())
        assert found.values == (float(left[found.index]), float(right[found.index]))


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.data(), FLOATS, st.sampled_from([0.0, 1e300, None]), st.booleans())
def test_a_planted_nan_diverges(
    data: st.DataObject, kind: type[np.floating[Any]], bound: float | None, defined: bool
) -> None:
    left = data.draw(hnp.arrays(kind, SHAPES, elements=hnp.from_dtype(np.dtype(kind), allow_nan=False)))
    right = left.copy()
    place = data.draw(st.tuples(*[st.integers(0, side - 1) for side in left.shape]))
    right[place] = NAN
    found = one(left.astype(np.float64) if defined else left, right, bound, definition=defined, zero_sign_open=True)
    assert (found.outcome, found.index, found.nan_only, found.ratio) == ("diverges", place, True, INF)


def test_same_bits() -> None:
    assert same_bits(f32(NAN, 0.0, INF), f32(NAN, 0.0, INF))
    assert not same_bits(f32(0.0), f32(-0.0))
    assert not same_bits(f32(NAN), f32(1))
    assert not same_bits(f32(1), f64(1))
    assert not same_bits(f32(1), f32(1, 1))
    assert not same_bits(np.array([2**62]), np.array([2**62 + 1]))
    assert same_bits(np.float64(1), np.array(1.0))
