"""Places: what lies elsewhere than in a file of this machine, read and written.

Doors: address, bundles, place, reading, system. Begin at place.py.

- place.py    a path to bytes elsewhere: pathlib's names, its own way to be read
- address.py  `s3://bucket/photos` -> such a path; addresses that are refused
- stores.py   what is asked of a bucket, or of Hadoop
- system.py   the stores behind addresses: opened once, asked again where that may help
- tree.py     a listing by pages -> folders and files, with sizes and stamps
- reading.py  the bytes of one photo, wherever it lies, within the limits
- bundles.py  bundles at addresses: fetched, checked; written so that none is seen half
"""
