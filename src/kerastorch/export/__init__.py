"""Export of models as programs: `.pt2` and `.onnx` files, verified against the model before they are written."""
