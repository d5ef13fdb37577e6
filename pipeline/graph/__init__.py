"""What can be read off an ONNX graph without running it.

Design note.  Everything here is a function from a ``ModelProto`` to records of :mod:`pipeline.data` (or to another
``ModelProto``), and imports onnx and numpy only.  A fact that the file does not settle is ``None`` with a note, never
a guess.  Names come out of files written by strangers: records carry them as text, and sentences pass them through
:func:`pipeline.graph.walk.printable`.
"""
