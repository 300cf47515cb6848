"""A listing, page by page, as folders and files: one request for a thousand objects.

A store has no folders, only names; a folder is what lies between two `/`. Size and stamp of each
object come with the listing, so no object is asked for them.
"""

from training.places.place import Fact
from training.places.stores import Store
from training.places.system import Address, attempt


class Branch:
    """A folder: the folders and files directly in it."""

    __slots__ = ("files", "folders")

    def __init__(self) -> None:
        self.folders: dict[str, Branch] = {}
        self.files: dict[str, Fact] = {}

    def add(self, name: str, fact: Fact) -> None:
        """Put an object into the folder that its name says."""
        *above, last = name.split("/")  # the last part is empty where a name is a folder's
        branch = self
        for part in above:
            branch = branch.folders.setdefault(part, Branch()) if part not in ("", ".") else branch
        if last:
            branch.files[last] = fact

    def at(self, parts: tuple[str, ...]) -> Fact | None:
        """Find the fact of a file or folder below; None: there is none."""
        branch = self
        for number, part in enumerate(parts, 1):
            if part in branch.folders:
                branch = branch.folders[part]
            else:
                return branch.files.get(part) if number == len(parts) else None
        return Fact(0, 0, folder=True)


def grow(top: Address) -> Branch:
    """List everything below `top`. Raises OSError."""

    def listed(store: Store) -> Branch:
        branch = Branch()
        for page in store.pages(top.key):
            for name, fact in page:
                branch.add(name, fact)
        return branch

    return attempt(top, listed)
