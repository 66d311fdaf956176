"""ONNX files as torch modules, through which gradients flow."""
