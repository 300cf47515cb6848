"""Fine-tuning: the upper blocks of the backbone, trained from cached feature maps.

Doors: fine_tune. Begin there.

- fine_tune.py  the upper blocks and the head, trained on views from the cache
- cut.py        where the backbone is cut: what lies above is trained
- views.py      random views of each photo, through the frozen lower blocks
- map_store.py  their feature maps on disk
- budget.py     how many views and epochs fit into some minutes
"""
