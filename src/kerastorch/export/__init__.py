"""Exported programs: pt2 and ONNX files, compared with the model before they are written."""
