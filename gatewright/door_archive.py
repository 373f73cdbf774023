"""Model files that are zip archives: members read into memory, checked, never unpacked to disk."""

import io
import zipfile
import zlib

from .errors import ImportRefused, quote

__all__ = ["Archive"]

MAX_MEMBERS = 10_000
MAX_TOTAL = 512 << 20           # of all members that are read


class Archive:
    """The members of a zip archive.

    Parameters
    ----------
    data : bytes
        Of the whole file.
    remedy : str
        What to do about one that is damaged.

    Raises
    ------
    ImportRefused
        If it is damaged, too large, or has members that lie outside, or twice.
    """

    def __init__(self, data: bytes, remedy: str):
        self._remedy, self._left = remedy, MAX_TOTAL
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
            members = self._zip.infolist()
        except Exception:                  # struct, Unicode and zip errors alike
            raise self._damaged("the archive") from None
        if len(members) > MAX_MEMBERS:
            raise ImportRefused("the archive", f"has {len(members)} members", remedy)
        self.names = [member.filename for member in members]
        self._members = dict(zip(self.names, members))
        if len(self._members) != len(members):
            raise ImportRefused("the archive", "has a member twice", remedy)
        for name in self.names:
            parts = name.replace("\\", "/").split("/")
            if name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
                raise ImportRefused(f"member {quote(name)}", "would lie outside of the archive's "
                                    "folder", "the file is damaged or forged: get it again")

    def _damaged(self, what: str) -> ImportRefused:
        return ImportRefused(what, "is cut short or damaged", self._remedy)

    def read(self, name: str, limit: int) -> bytes:
        """A member of at most ``limit`` bytes, whatever the archive says of its size."""
        what = f"member {quote(name)}"
        if name not in self._members:
            raise ImportRefused(what, "is missing", self._remedy)
        if self._members[name].flag_bits & 1:
            raise ImportRefused(what, "is encrypted", "save the model without a password")
        limit = min(limit, self._left)
        try:
            with self._zip.open(self._members[name]) as file:
                data = file.read(limit + 1)
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, ValueError,
                RuntimeError):
            raise self._damaged(what) from None
        if len(data) > limit:
            raise ImportRefused(what, f"unpacks to more than {limit >> 20} MiB",
                                "no network of that size fits a device")
        self._left -= len(data)
        return data
