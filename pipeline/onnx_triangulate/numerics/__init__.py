"""Evaluation in float64, rounding bounds of whole nodes, and the comparer of outputs."""
