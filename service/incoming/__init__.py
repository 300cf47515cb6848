"""Incoming: what a request may do and bring. Begin at guard.py, then uploads.py.

- guard.py          who may ask: hosts, origins, keys, rates
- uploads.py        a request -> the photos in it, within limits
- json_body.py      a body -> JSON, in bounded memory
- rest.py           a thread that rests after its work, for the sake of others
- decode_memory.py  memory for large photos, shared by all workers
- asking.py         what every route asks of a request
- queries.py        what may stand in an address's query, with its range
- channels.py       which channels it asks for
"""
