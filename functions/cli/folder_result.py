"""A result as it lies on this machine's disk, whoever made it: this machine, or a deployed bundle from which it was copied."""

import json
import os
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

from api.problem import Refusal
from cli.loopback import Connection
from eo.errors import CorruptData, InvalidInput
from registry import process

COPC = ".copc.laz"
ITEM_TYPE = "application/geo+json"


class FolderResult:
    """The files that a STAC item names beside itself, or a point cloud alone."""

    def __init__(self, files: dict[str, tuple[Path, str, str]], job: str | None) -> None:
        """`files`: by output path, media type and title. Without a `job`, a digest of the paths stands for it."""
        self._files = files
        of = sorted(str(path.resolve()) for path, _, _ in files.values())
        self.job = job or sha256("\n".join(of).encode()).hexdigest()[:16]

    @classmethod
    def at(cls, place: Path, job: str | None = None) -> "FolderResult":
        """What lies in a folder, or what a file shows: a STAC item its result, a COPC itself.

        Raises InvalidInput where that is nothing to look at, CorruptData where an item is not readable.
        """
        if place.is_dir():
            items = [path for path in sorted(place.glob("*.json")) if _item(path)]
            if not items:
                raise InvalidInput(
                    f"{place} holds no STAC item of a result; name the folder that a job has delivered into, "
                    "or a job (`eo-shards jobs`)"
                )
            if len(items) > 1:
                names = ", ".join(path.name for path in items)
                raise InvalidInput(f"{place} holds {len(items)} results; name one of {names}")
            return cls.at(items[0])
        if place.name.endswith(COPC):
            # With the item beside it, whose data it is stands on the page.
            for beside in sorted(place.parent.glob("*.json")):
                if any(_name(str(asset.get("href", ""))) == place.name for asset in _assets(beside)):
                    return cls.at(beside, job)
            cloud = process("point-cloud").outputs["copc"]
            return cls({"copc": (place, cloud.media_type, cloud.title)}, job)
        if place.suffix.lower() == ".ply":
            raise InvalidInput(
                f"{place} is a PLY, which no page can read in pieces; name the COPC beside it, which --format ply,copc makes, "
                "or open it in CloudCompare"
            )
        item = _item(place)
        if item is None:
            raise InvalidInput(f"{place} is nothing to view; name a result's folder, its STAC item or a COPC file")
        try:
            found = {
                output: (place.parent / name, str(asset["type"]), str(asset.get("title", output)))
                for output, asset in item["assets"].items()
                if (name := _name(asset["href"]))
            }
        except (KeyError, TypeError, AttributeError):
            raise CorruptData(f"{place} names its files in no readable way; run the job again") from None
        there = {output: file for output, file in found.items() if file[0].is_file()}
        return cls(there | {"item": (place, ITEM_TYPE, "STAC item")}, job)

    def results(self, address: str) -> dict[str, dict[str, str]]:
        """By output what is there."""
        base = f"{address}/jobs/{self.job}/results"
        return {
            output: {"href": f"{base}/{quote(path.name, safe='')}", "type": kind, "title": title}
            for output, (path, kind, title) in self._files.items()
        }

    def send(self, name: str, connection: Connection) -> None:
        """Answer with a file, or a piece of it. Raises Refusal."""
        found = [(path, kind) for path, kind, _ in self._files.values() if path.name == name]
        try:
            path, kind = found[0]
            there = path.stat()
        except (IndexError, OSError):
            raise Refusal(HTTPStatus.NOT_FOUND, f"the result has no file {name[:80]!r} (any more)") from None
        connection.send_file(path, kind, f'"{there.st_size:x}-{there.st_mtime_ns:x}"')


def _item(path: Path) -> dict[str, Any] | None:
    """A STAC item with files beside it; None where a file is none, as models' and checksums are."""
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {os.strerror(error.errno or 0)}; name a result's folder") from None
    except ValueError:
        return None
    if not isinstance(found, dict) or found.get("type") != "Feature" or "stac_version" not in found:
        return None
    return found if path.name != "model.json" else None


def _assets(path: Path) -> list[dict[str, Any]]:
    """Those of a STAC item that are readable."""
    assets = (_item(path) or {}).get("assets")
    return [each for each in assets.values() if isinstance(each, dict)] if isinstance(assets, dict) else []


def _name(href: str) -> str | None:
    """The name of a file beside the item; None where a link leads elsewhere."""
    name = href.removeprefix("./")
    return name if name and name == Path(name).name else None
