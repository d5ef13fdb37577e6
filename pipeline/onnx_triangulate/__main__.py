"""``python -m onnx_triangulate``."""

from onnx_triangulate.cli.main import main

if __name__ == "__main__":
    main()
