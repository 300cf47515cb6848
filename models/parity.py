"""How closely the graphs that are served must follow Keras; `manifest.Parity` is what was found."""

LOGITS_LIMIT = 1e-3  # largest difference between Keras' logits and ONNX' that is let through
