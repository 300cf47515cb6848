"""How each kind of Keras layer is written in ONNX: one small function a kind.

Doors: none. `models/building/onnx_layers.py` joins their tables.

Feature maps are (N, C, H, W) here and (N, H, W, C) in Keras; vectors (N, C) and sequences
(N, T, C) are alike in both. Keras pads "same" unevenly, the odd pixel at the bottom and right, as
TensorFlow does. A function raises KeyError with the reason where it cannot write a layer.

- writer.py          what a function sees of the graph that is written
- activations.py     activation functions, and the layers that are one
- convolutions.py    convolutions, plain and transposed, and dense layers
- normalisations.py  batch, layer, group and root-mean-square normalisation; scaling of pixels
- pooling.py         windows, and pooling over the whole map
- shapes.py          flatten, reshape, crop, pad, resize
- merging.py         several tensors to one
"""
