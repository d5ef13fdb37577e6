"""Operators: what each means, how far rounding may carry it, which axis of its output is which of its inputs."""
