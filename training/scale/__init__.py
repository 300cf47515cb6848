"""Scale: the same work done for many photos, in threads of this machine or on a Ray cluster.

Doors: choose, connection, engine, node, photo_rows, portable, software. Begin at engine.py.

- engine.py    what is done for each photo, and where: in threads, or by a cluster
- choose.py    the engine that a person asked for
- cluster.py   Ray: photos go out in shards, results come back in order
- connection.py  how a cluster is reached and left
- node.py      what a node of the cluster does with one shard
- photo_rows.py  how a file is known again, and how one that is left out is written down
- shards.py    the results of a shard as a Parquet file, written once, read after a kill
- software.py  one name for all code and packages that numbers depend on
- portable.py  graphs and classifiers that can be sent to another process
"""
