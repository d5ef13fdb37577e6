"""A look at every operator that PyTorch runs, those in the branches and bodies of its control flow too.

Design note.  A dispatch mode sees operators below autograd and below composite functions.  ``torch.cond``,
``while_loop``, ``scan`` and ``map`` are operators that take functions: a mode is handed the whole of one, and what runs
inside runs without the mode.  So those functions are handed on as ones that take the mode up again.

Outside of a graph torch gives such an operator to Dynamo, which compiles nothing under a mode, runs the call as plain
Python, and remembers that: the next call without a mode, an export's own among them, would run what cannot be run so
("torch.* op returned non-Tensor").  What Dynamo remembers is dropped with every mode that ends.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any


@contextlib.contextmanager
def watching(each: Callable[[Any, Any, Mapping[str, Any]], Any]) -> Iterator[None]:
    """A context in which ``each`` is called with every operator, its arguments and its keywords, in its place."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    class Watch(TorchDispatchMode):
        supports_higher_order_operators = True

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if takes_functions(func):
                args, kwargs = torch.utils._pytree.tree_map(self.taken_up, (args, kwargs or {}))
            return each(func, args, kwargs or {})

        def taken_up(self, value: Any) -> Any:
            if not callable(value) or isinstance(value, type):
                return value

            def inside(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return value(*args, **kwargs)

            return inside

    try:
        with Watch():
            yield
    finally:
        torch.compiler.reset()


def takes_functions(func: Any) -> bool:
    """Whether an operator is one of control flow: it takes functions, and has no schema of its own."""
    import torch

    return isinstance(func, torch._ops.HigherOrderOperator)
