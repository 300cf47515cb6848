"""What a model is: a tour of this room. Importing it loads nothing else.

bytes -> pixels -> network -> answer, and the folder a trained network is kept in:

- errors.py            everything that can go wrong, drawn as a tree
- images.py            an encoded photo -> upright RGB pixels at the network's size
- backbones.py         the table of pretrained networks, and where their weights come from
- efficientnet_lite.py the embedded backbone;  state_dict.py reads its weights
- network.py           scaling -> backbone -> pool -> head -> logits, one flat graph;
                       flatten.py makes any keras.applications network fit in
- graph.py             that graph read: which layers can be shown, what each one sees
- export.py            Keras network -> ONNX, checked against Keras;  onnx_layers.py, kind by kind
- bundle.py            the saved model: written aside, hashed, read with the hash checked
- runtime.py           one ONNX graph, ready to run;  onnx_weights.py looks at its weights first
- cores.py             how many cores this process may use
- head.py              the weights of a head, before it is part of a network
- classifier.py        a bundle that answers: probabilities, feature maps
- familiarity.py       is this photo anything like those of training
- saliency.py          which parts of a photo speak for a class
- insight.py           what each layer detects, read from the bundle
- inside.py            one photo through every block, all at once
- mosaic.py            feature maps -> pictures

Only efficientnet_lite, flatten, network, graph and export need Keras, and only they import it.
"""
