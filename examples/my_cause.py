"""A cause: why the emulator of my_runtime departs."""

from onnx_triangulate.causes import Cause, Example
from onnx_triangulate.records.verdict import Blame, Finding


def suspect(evidence, blamed, load):
    if blamed.blame != "emulator":
        return None
    message = "the chip rounds what it returns to eighths"
    return Finding("coarse-grid", blamed.blame, blamed.party, (), message, edit="scale the outputs")


_EMULATOR = Blame("emulator", "torch>emu8", ("torch>reference", "torch>emu8"))
_KERNEL = Blame("kernel", "torch>ort.off", ("torch>reference", "torch>ort.off"))
CAUSE = Cause(
    "coarse-grid",
    "An emulated chip that rounds to a grid.",
    suspect,
    fires=(Example("an emulator departs", _EMULATOR, message="eighths"),),
    quiet=(Example("a kernel departs", _KERNEL),),
)
