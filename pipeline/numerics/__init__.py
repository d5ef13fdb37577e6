"""Bounds, the comparer, and the definitions that truths are written with."""
