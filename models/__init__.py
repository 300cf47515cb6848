"""What a model is: a tour of this room. Importing it loads nothing else.

bytes -> pixels -> network -> answer, and the folder a trained network is kept in:

- errors.py        everything that can go wrong, drawn as a tree
- images.py        an encoded photo -> upright RGB pixels at the network's size;
                   decoding/ has its parts: limits, streams, framing, pixels
- bundle.py        the saved model: written aside, hashed, read with the hash checked;
                   bundles/ has its parts: manifest, signature, a copy that nobody can change
- examine.py       all that a request can ask of a bundle, asked once before it may serve;
                   trial.py does it in a process of its own
- runtime.py       one ONNX graph, ready to run;  onnx_weights.py and onnx_operators.py look at it
                   first, probe_graph.py asks it three pictures
- device.py        the processor or a GPU, if that answers alike
- classifier.py    a bundle that answers: probabilities, feature maps
- terms.py         what may be asked of both, and what was chosen
- precision.py     in float32 or in INT8;  choose_precision.py tries which is faster here
- familiarity.py   is this photo anything like those of training
- saliency.py      which parts of a photo speak for a class
- insight.py       what each layer detects, read from the bundle
- inside.py        one photo through every block, all at once
- mosaic.py        feature maps -> pictures
- parity.py        how closely ONNX follows Keras
- natural_order.py  names in the order that people read: 2 before 10
- cores.py         how many cores this process may use

building/ holds all that needs Keras, ONNX or h5py: it makes networks. The service does not need it.
"""
