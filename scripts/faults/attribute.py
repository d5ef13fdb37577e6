"""The other attributes: epsilons, slopes, limits, approximations."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto

from faults.site import Accepted, Site, assign, attribute, kind

NORMS = "BatchNormalization LayerNormalization InstanceNormalization GroupNormalization RMSNormalization"


@kind("attribute", NORMS)
def epsilon(_: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """Another framework's epsilon."""
    now = float(attribute(node, "epsilon", 1e-5))
    assign(node, "epsilon", float(random.choice([e for e in (1e-3, 1e-2, 1e-4, 1e-5) if abs(e - now) > 0.1 * now])))
    return (node.name,)


@kind("attribute", "Add")
def epsilon_as_constant(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """The epsilon of a norm that is written out."""
    for slot, name in enumerate(node.input):
        held = site.constant(name)
        if held is not None and held.dtype == np.float32 and held.size == 1 and 0 < float(held.reshape(-1)[0]) < 0.01:
            site.feed(node, slot, held * np.float32(random.choice([10.0, 100.0])))
            return (node.name,)
    return None


@kind("attribute", "LeakyRelu Elu HardSigmoid ThresholdedRelu Gemm Selu Celu")
def slope(_: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """Another slope or factor."""
    default = {"LeakyRelu": 0.01, "HardSigmoid": 0.2}.get(node.op_type, 1.0)
    now = float(attribute(node, "alpha", default))
    assign(node, "alpha", now * float(random.choice([0.5, 1.1, 2.0])))
    return (node.name,)


@kind("attribute", "Clip")
def limit(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """Another limit of a clip."""
    slots = [i for i in (1, 2) if i < len(node.input) and node.input[i] and site.constant(node.input[i]) is not None]
    if not slots:
        return None
    slot = int(random.choice(slots))
    held = site.constant(node.input[slot])
    assert held is not None
    site.feed(node, slot, np.asarray(held * held.dtype.type(0.5) + held.dtype.type(0.05), held.dtype))
    return (node.name,)


@kind("attribute", "Gelu")
def approximation(_: Site, node: NodeProto, __: np.random.Generator) -> Accepted | None:
    """The tanh approximation for the exact function, or the other way."""
    assign(node, "approximate", "none" if attribute(node, "approximate", "none") == "tanh" else "tanh")
    return (node.name,)


@kind("attribute", "Mul Div Pow")
def scalar_changed(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """A number that stands in the model's text is another: sqrt(d) for d, 1.7 for 1.702."""
    for slot, name in enumerate(node.input):
        held = site.constant(name)
        if held is not None and held.dtype == np.float32 and held.size == 1:
            site.feed(node, slot, held * np.float32(random.choice([0.9, 1.001, 2.0])))
            return (node.name,)
    return None


@kind("attribute", "GRU")
def reset_before(_: Site, node: NodeProto, __: np.random.Generator) -> Accepted | None:
    """A GRU resets before or after its product."""
    assign(node, "linear_before_reset", 1 - int(attribute(node, "linear_before_reset", 0)))
    return (node.name,)


@kind("attribute", "TopK")
def smallest_for_largest(_: Site, node: NodeProto, __: np.random.Generator) -> Accepted | None:
    """The smallest entries for the largest."""
    assign(node, "largest", 1 - int(attribute(node, "largest", 1)))
    return (node.name,)
