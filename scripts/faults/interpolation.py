"""Resizing: where a pixel lies, which neighbours count, and how."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto

from faults.site import Accepted, Site, assign, attribute, kind

COORDINATES = ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric")


@kind("interpolation", "Resize")
def coordinates(_: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """Pixels lie elsewhere: half_pixel, asymmetric, align_corners."""
    now = attribute(node, "coordinate_transformation_mode", "half_pixel")
    assign(node, "coordinate_transformation_mode", str(random.choice([c for c in COORDINATES if c != now])))
    return (node.name,)


@kind("interpolation", "Resize")
def interpolated_otherwise(_: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """Linear for nearest, nearest for linear, cubic for either."""
    now = attribute(node, "mode", "nearest")
    assign(node, "mode", str(random.choice([m for m in ("nearest", "linear", "cubic") if m != now])))
    return (node.name,)


@kind("interpolation", "Resize")
def nearest_rounded_otherwise(_: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """The nearest pixel is another where two are near."""
    if attribute(node, "mode", "nearest") != "nearest":
        return None
    now = attribute(node, "nearest_mode", "round_prefer_floor")
    modes = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
    assign(node, "nearest_mode", str(random.choice([m for m in modes if m != now])))
    return (node.name,)


@kind("interpolation", "Resize")
def cubic_coefficient(_: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """Another family of cubics."""
    if attribute(node, "mode", "nearest") != "cubic":
        return None
    now = float(attribute(node, "cubic_coeff_a", -0.75))
    assign(node, "cubic_coeff_a", float(random.choice([a for a in (-0.75, -0.5, -1.0, -0.6) if abs(a - now) > 0.01])))
    return (node.name,)


@kind("interpolation", "Resize")
def outside_excluded(_: Site, node: NodeProto, __: np.random.Generator) -> Accepted | None:
    """Neighbours outside of the image count, or do not."""
    if attribute(node, "mode", "nearest") != "cubic":
        return None
    assign(node, "exclude_outside", 1 - int(attribute(node, "exclude_outside", 0)))
    return (node.name,)


@kind("interpolation", "Resize")
def scales_rounded(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """Scales that do not quite give the size, or a size that is given by scales: the same size by another scale."""
    shape, out = site.shape(node.input[0]), site.shape(node.output[0])
    if shape is None or out is None:
        return None
    places = [i for i in range(len(shape)) if out[i] != shape[i]]
    if not places:
        return None
    place = int(random.choice(places))
    scales = np.array([o / i for o, i in zip(out, shape, strict=True)], np.float32)
    scales[place] = (out[place] + 0.45 * float(random.uniform(0.5, 1))) / shape[place]
    while len(node.input) < 3:
        node.input.append("")
    site.feed(node, 2, scales)
    del node.input[3:]
    return (node.name,)


@kind("interpolation", "Resize")
def antialiased(_: Site, node: NodeProto, __: np.random.Generator) -> Accepted | None:
    """Anti-aliasing is switched on or off."""
    if attribute(node, "mode", "nearest") == "nearest":
        return None
    assign(node, "antialias", 1 - int(attribute(node, "antialias", 0)))
    return (node.name,)
