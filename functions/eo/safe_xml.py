"""Metadata files of Sentinel-2 products as XML that nobody vouches for: parsed safely, every value checked.

Their namespaces change with the version of the specification, so elements are found by local name.
"""

import math
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET  # _parse says why this is safe

from eo.errors import CorruptData

BAND_NAMES = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
"""Band names by `band_id`, as each product's own `Spectral_Information_List` pairs them (bandId 8 is B8A)."""

Source = str | os.PathLike[str] | bytes
"""A path, or the content of the file."""

MAX_XML = 4 << 20
"""Bytes of a metadata file: the largest of real ones have 0.6 MB, and elements without text take 40 times their size."""


class Document:
    """A parsed file and the ways of getting a checked value out of it."""

    def __init__(self, source: Source) -> None:
        """Read and parse; raises CorruptData where it is no XML."""
        self.name = "SAFE metadata" if isinstance(source, bytes) else Path(source).name
        self.root = self._parse(source if isinstance(source, bytes) else self._read(Path(source)))

    @staticmethod
    def _read(path: Path) -> bytes:
        """A file, but no more of it than shows that it is too large."""
        with path.open("rb") as file:
            return file.read(MAX_XML + 1)

    def _parse(self, data: bytes) -> ET.Element:
        """Parse UTF-8 without a document type.

        Entities, the way to billion laughs and to other files, can only be declared in a document type, which no SAFE
        file has. Refusing it before the parser sees it is all that defusedxml would add, without the dependency. The
        text is decoded here and the parser ignores the encoding that the file declares, so none can hide it.
        """
        if len(data) > MAX_XML:
            raise self.error(f"it has more than {MAX_XML:,} bytes")
        try:
            text = data.decode("utf-8-sig")
            if "<!DOCTYPE" in text or "<!ENTITY" in text:
                raise self.error("it declares a document type or entities, which Sentinel-2 metadata never does")
            if "\0" in text:  # the parser would take it for UTF-16, in which a document type looks different
                raise self.error("it contains NUL, so it is not UTF-8")
            root = ET.fromstring(text)  # noqa: S314 - entities were refused above
        except UnicodeDecodeError as error:
            raise self.error(f"it is not UTF-8: {error}") from None
        except ET.ParseError as error:
            raise self.error(f"it is not well-formed XML: {error}") from None
        for element in root.iter():
            element.tag = element.tag.rpartition("}")[2]
        return root

    def error(self, found: str) -> CorruptData:
        """What to raise for something that was found in it."""
        return CorruptData(f"{self.name} cannot be used: {found}; get the product again")

    def require_root(self, *names: str) -> None:
        """Raise CorruptData where it is another kind of document."""
        if self.root.tag not in names:
            raise self.error(f"it is a {self.root.tag!r}, not one of {names}")

    def element(self, name: str, parent: ET.Element | None = None) -> ET.Element:
        """The first element of a name; raises CorruptData where there is none."""
        found = (self.root if parent is None else parent).find(f".//{name}")
        if found is None:
            raise self.error(f"it has no {name}")
        return found

    def text(self, name: str, parent: ET.Element | None = None) -> str:
        """Its text; raises CorruptData where there is none."""
        text = (self.element(name, parent).text or "").strip()
        if not text:
            raise self.error(f"its {name} is empty")
        return text

    def number(self, name: str, parent: ET.Element | None = None) -> float:
        """Its finite number; raises CorruptData where there is none."""
        text = self.text(name, parent)
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.error(f"its {name} is {text!r}, no number")
        return value

    def integer(self, name: str, parent: ET.Element | None = None) -> int:
        """Its whole number; raises CorruptData where there is none."""
        value = self.number(name, parent)
        if not value.is_integer():
            raise self.error(f"its {name} is {value}, no whole number")
        return int(value)

    def time(self, name: str) -> datetime:
        """Its time in UTC; raises CorruptData where there is none."""
        text = self.text(name)
        try:
            value = datetime.fromisoformat(text)
        except ValueError:
            raise self.error(f"its {name} is {text!r}, no time") from None
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)

    def attribute(self, element: ET.Element, name: str) -> int:
        """A whole number that an element carries; raises CorruptData where it carries none."""
        text = element.get(name, "")
        if not re.fullmatch(r"[0-9]{1,6}", text):
            raise self.error(f"a {element.tag} has {name}={text!r}, no number")
        return int(text)

    def band(self, element: ET.Element, attribute: str) -> str:
        """The band whose id an element carries; raises CorruptData where it carries none."""
        number = self.attribute(element, attribute)
        if number >= len(BAND_NAMES):
            raise self.error(f"a {element.tag} has {attribute}={number}, there are only {len(BAND_NAMES)} bands")
        return BAND_NAMES[number]
