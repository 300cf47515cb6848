"""Shards: many labelled photos in one file, Parquet or tar, as photos. Begin at find.py.

- find.py     a shard, or a folder of them -> labelled photos; sides by names of files
- packed.py   the place of a photo inside a shard
- tar.py      WebDataset's tar: `KEY.jpg` with `KEY.cls`, `KEY.json` or `KEY.txt`
- parquet.py  a table with a column of images, as Hugging Face writes it
"""
