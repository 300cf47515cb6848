"""The two kinds of store behind addresses: buckets of objects, and Hadoop's file system.

Each takes credentials from its own environment, as its own programs do; none are taken here.
obstore asks S3 and Google Cloud: one wheel without further packages, a listing comes by pages
with the tag of each object, and a photo is one request. Hadoop is asked through pyarrow.
"""

import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from training.places.place import Fact, token_of

PAGE = 1_000  # objects of one request
Page = list[tuple[str, Fact]]  # names below the key that is listed


class Store(Protocol):
    """What is asked of a store. Each method raises OSError, or whatever its library has."""

    def look(self, key: str) -> Fact:
        """Ask what is there."""

    def pages(self, key: str) -> Iterator[Page]:
        """List everything below a folder, a page after the other."""

    def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """Read an object, or some bytes of it."""

    def write(self, key: str, content: bytes | Path) -> None:
        """Write an object: it is there when it is whole."""

    def remove(self, key: str) -> None:
        """Remove an object."""


class Bucket:
    """Objects of S3 or Google Cloud, or of this process' memory."""

    def __init__(self, scheme: str, bucket: str):
        from obstore import store

        if scheme == "memory":
            self._store: Any = store.MemoryStore()
            return
        # Attempts of its own are few: `attempt` makes more, with longer pauses.
        retry: Any = {"max_retries": 2, "retry_timeout": timedelta(seconds=30)}
        if scheme == "gs":
            self._store = store.GCSStore(bucket, retry_config=retry)
            return
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3", os.environ.get("AWS_ENDPOINT_URL", ""))
        client: Any = {"allow_http": endpoint.startswith("http://")}
        more = {"endpoint": endpoint} if endpoint else {}
        self._store = store.S3Store(bucket, client_options=client, retry_config=retry, **more)

    def look(self, key: str) -> Fact:
        """Ask for the object, then whether anything lies below its name."""
        try:
            if key:
                return _fact(self._store.head(key))
        except FileNotFoundError:
            pass
        if next(iter(self._store.list(key or None, chunk_size=1)), None):
            return Fact(0, 0, folder=True)
        raise FileNotFoundError(key)

    def pages(self, key: str) -> Iterator[Page]:
        """Yield the objects of each request."""
        for found in self._store.list(key or None, chunk_size=PAGE):
            yield [(one["path"].removeprefix(key).lstrip("/"), _fact(one)) for one in found]

    def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """Read in one request."""
        if end is None:
            return bytes(self._store.get(key).bytes())
        return bytes(self._store.get_range(key, start=start, end=end))

    def write(self, key: str, content: bytes | Path) -> None:
        """Write in one request, or several parts that are joined at the end."""
        self._store.put(key, content)

    def remove(self, key: str) -> None:
        """Remove an object."""
        self._store.delete(key)


class Hadoop:
    """Files of HDFS, or of any file system of pyarrow's."""

    def __init__(self, system: Any):
        self._system = system

    @classmethod
    def at(cls, host: str) -> "Hadoop":
        """Connect to a name node, `user@host:port`; `default`: the one of Hadoop's own settings."""
        from pyarrow.fs import HadoopFileSystem

        return cls(HadoopFileSystem.from_uri(f"hdfs://{host}"))

    def look(self, key: str) -> Fact:
        """Ask what is there."""
        found = self._system.get_file_info(key)
        if found.type.name == "NotFound":
            raise FileNotFoundError(key)
        return _arrow_fact(found)

    def pages(self, key: str) -> Iterator[Page]:
        """Yield what lies in each folder."""
        from pyarrow.fs import FileSelector

        waiting = [key]
        while waiting:
            page = []
            for found in self._system.get_file_info(FileSelector(waiting.pop())):
                fact = _arrow_fact(found)
                waiting += [found.path] if fact.folder else []
                below = found.path.strip("/").removeprefix(key.strip("/")).lstrip("/")
                page.append((f"{below}/" if fact.folder else below, fact))
            yield page

    def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """Read from an open file."""
        with self._system.open_input_file(key) as file:
            file.seek(start)
            return bytes(file.read(None if end is None else end - start))

    def write(self, key: str, content: bytes | Path) -> None:
        """Write aside, then rename."""
        aside = f"{key}.part"
        self._system.create_dir(key.rpartition("/")[0], recursive=True)
        with self._system.open_output_stream(aside) as file:
            file.write(content if isinstance(content, bytes) else content.read_bytes())
        self._system.move(aside, key)

    def remove(self, key: str) -> None:
        """Remove a file."""
        self._system.delete_file(key)


def _fact(found: Any) -> Fact:
    """Describe an object of obstore's."""
    return Fact(found["size"], _token(found.get("e_tag") or found.get("last_modified")))


def _arrow_fact(found: Any) -> Fact:
    """Describe a file or folder of pyarrow's."""
    folder = found.type.name == "Directory"
    return Fact(0 if folder else found.size, _token(found.mtime_ns), folder)


def _token(tag: object) -> int:
    """Make a number of what changes with the content; without one, it is read every time."""
    return time.time_ns() if tag is None else token_of(str(tag))
