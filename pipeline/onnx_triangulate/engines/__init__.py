"""Whoever computes: framework adapters, runtime adapters, and the worker processes in which they run."""
