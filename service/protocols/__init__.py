"""Two protocols that other people's clients speak: a tour. Begin at oip.py.

- oip.py          the Open Inference Protocol's routes, below /v2
- oip_tensors.py  its tensors -> photos, logits -> its tensors; JSON and binary
- tf_serving.py   TensorFlow Serving's routes, below /v1
- answering.py    photos -> logits, counted and timed
- pixels.py       lists of numbers -> pixels
- bodies.py       every JSON body of both, as types

How an error looks below these two addresses is decided in service/errors.py.
"""
