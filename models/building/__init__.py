"""Building: a pretrained network in Keras, and its way to ONNX. The service has no part of it.

Doors: attach, backbones, ending, export, flatten, front, graph, head, network, quantise,
scalings, views.
Begin at network.py.

- backbones.py          the table of pretrained networks, and where their weights come from
- efficientnet_lite.py  the embedded backbone;  state_dict.py  reads its weights
- network.py            scaling -> backbone -> `pool`, one flat graph
- flatten.py            makes any keras.applications network fit in
- graph.py              that graph read: which layers can be shown, what each one sees
- head.py               the weights of a head, before it is part of a network
- attach.py             a head put on a written backbone, without Keras
- views.py              a photo and its mirror image, answered as one
- export.py             Keras network -> ONNX
- onnx_layers.py        the table of layers that can be written, from the files of writers/
- onnx_graph.py         the graph they go into
- quantise.py           a graph in float32 -> one in INT8
- front.py              the layers in front of somebody's network;  scalings.py  as numbers
- ending.py             the head of somebody's network, as plain numbers
- last_layer.py         its last layer: what the answers are
"""
