"""Fine-tuning: the upper blocks of the backbone, trained from cached feature maps.

Doors: fine_tune, on_nodes, start. Begin at fine_tune.py.

- fine_tune.py  the upper blocks and the head, trained on views from the cache
- start.py      what it begins with: backbone, photos, head
- shares.py     which photos each of several workers computes and reads
- worker.py     one of several workers, in a process that an engine starts
- on_nodes.py   an engine: a worker on each node of a Ray cluster
- plan.py       cut, views and epochs: as set, or as many as time allows
- budget.py     how long a view and a step take, and how many fit into some minutes
- cut.py        where the backbone is cut: what lies above is trained
- folded.py    the blocks above it with batch normalisation folded in, for training
- products.py  two operations whose gradients suit a CPU
- views.py      random views of each photo, through the frozen lower blocks
- map_store.py  their feature maps on disk
"""
