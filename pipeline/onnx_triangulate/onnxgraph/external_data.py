"""The files beside a model that hold its numbers: which they are, and whether they may be read.

Design note.  A model names them relative to its own folder, and whoever wrote the model chose the names.  A link out of
that folder is how a model makes its reader read another file, so ONNX's own loader refuses every link.  But a cache
keeps what it downloaded under other names and puts links where the names are due (``snapshots/REVISION/model.onnx`` and
``model.onnx_data`` into ``blobs/``): ONNX Runtime reads that, since data may lie where the model itself really lies.
So does this module, by one rule for all engines: what lies behind a name must be a regular file in the model's folder
or in the folder in which the model really lies, and no second name of a file that may be anywhere (a hard link).  Where
there are links, the model and its data are copied to where there are none, and everybody reads these.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path, PurePosixPath

from onnx import ModelProto, TensorProto

from onnx_triangulate.onnxgraph.loading import load
from onnx_triangulate.onnxgraph.nodes import every_tensor, printable, text
from onnx_triangulate.records.errors import UnusableInput


def staged(file: Path, place: Path) -> Path:
    """The model itself, or a copy of it in ``place`` with its data where data of it is behind a link.

    Raises :class:`UnusableInput` where the data must not be read.
    """
    try:
        names = locations(load(file))
    except UnusableInput:
        return file  # whoever reads it next says why it is no model
    folder, linked = file.parent, False
    homes = {folder.resolve(), file.resolve().parent}
    for name in sorted(names):
        path = folder / name
        who = f"{printable(str(file))}: its external data {printable(name)}"
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise UnusableInput(f"{who} is named by a path that leaves its folder, which is refused")
        try:
            real = path.resolve(strict=True)
            status = real.stat()
        except (OSError, ValueError, RuntimeError):
            raise UnusableInput(f"{who} is not there, or cannot be read") from None
        if not stat.S_ISREG(status.st_mode):
            raise UnusableInput(f"{who} is no regular file")
        if not any(real.is_relative_to(home) for home in homes):
            raise UnusableInput(f"{who} is a link to a file outside of its folder, which is refused")
        if status.st_nlink > 1:
            raise UnusableInput(f"{who} has a second name (a hard link), perhaps elsewhere, which is refused; copy it")
        linked |= Path(os.path.abspath(path)) != real and real != path.parent.resolve() / path.name
    if not linked:
        return file
    place.mkdir(parents=True, exist_ok=True)
    for name in names:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, place / name)
    return Path(shutil.copyfile(file, place / file.name))


def beside(file: Path) -> list[Path]:
    """A model and the files that hold its numbers, whether or not they are there; alone where it is no model."""
    try:
        return [file, *(file.parent / name for name in sorted(locations(load(file))))]
    except UnusableInput:
        return [file]


def locations(model: ModelProto) -> set[str]:
    """The names of the files that hold numbers of a model, as it gives them."""
    return {
        text(entry.value)
        for tensor in every_tensor(model.graph, *model.functions)
        if tensor.data_location == TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }
