"""Models in the formats of others: safetensors, ONNX, a folder for the hub."""
