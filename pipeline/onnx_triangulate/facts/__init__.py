"""What can be read off an ONNX graph without running it: pads, layouts, transposes, sizes, types.

Design note.  A fact that the file does not settle is ``None`` with a note, never a guess.  Names come out of files
written by strangers: records carry them as text, and sentences pass them through
``onnxgraph.nodes.printable``.
"""
