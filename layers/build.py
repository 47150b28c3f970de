"""What `sam build` puts into a function or a layer: `python3.13 build.py code|geo|compute|tables|models|cards FOLDER [MODEL ...]`.

Called by the Makefile beside it.

A layer fills FOLDER/python, which Lambda mounts at /opt/python. Its wheels are those of Lambda's platform on whatever machine
this runs, hash-checked, and never built from source. What no function reads is left out (tests, sources and headers of
extensions, debug sections, service models of botocore), for a function and its layers may hold 262,144,000 bytes unzipped.

A layer of models fills FOLDER/models/<name> with what the model's card lists; a layer of cards with the cards alone.

Byte code comes along, because Lambda's folders are read-only and each cold start would compile everything again: unchecked,
because the sources that it belongs to cannot change any more.
"""

# ruff: noqa: INP001 - a script that is run by its path
from __future__ import annotations

import compileall
import hashlib
import json
import shutil
import struct
import subprocess
import sys
from operator import itemgetter
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).parent
RUNTIME = (3, 13)
# pip takes these literally: a platform does not imply the older ones. Amazon Linux 2023 has glibc 2.34.
PLATFORMS = [*(f"manylinux_2_{minor}_x86_64" for minor in (34, 28, 27, 24, 17, 12, 5)), "manylinux2014_x86_64"]
NOT_DEPLOYED = ("cli", "*.asl.json", "*.egg-info", "__pycache__")
"""What of functions/ is of no use on Lambda: the command line, and what is made by tools."""
SERVICES = {"s3", "secretsmanager", "stepfunctions", "sts"}
"""AWS services that the functions call; botocore brings models of 400."""
PT_LOAD = 1
"""Kind of an ELF program header: a segment that is mapped into memory."""
UNUSED = {"onnxruntime": ("datasets", "quantization", "tools", "transformers", "capi/libonnxruntime.so*")}
"""By package: what none of the functions calls, its library for other languages for one: Python's extension has its own."""
CARD, ITEM = "card.json", "item.json"
"""What a model says of itself: for the functions, and as a STAC item."""
UNREAD = {".a", ".c", ".h", ".pxd", ".pxi", ".pyi", ".pyx"}
"""Suffixes of what only compilers and type checkers read."""


def main(what: str, folder: Path, models: Sequence[str] = ()) -> None:
    """Fill a folder with the functions' code (from the working directory), or with the dependencies or models of a layer."""
    if what == "code":
        shutil.copytree(".", folder, ignore=shutil.ignore_patterns(*NOT_DEPLOYED), dirs_exist_ok=True)
        add_byte_code(folder, folder, "/var/task")
        return
    if what in {"models", "cards"}:
        for name in models:
            add_model(HERE / "models" / name, folder / "models" / name, whole=what == "models")
        return
    python = folder / "python"
    install(HERE / what / "requirements.txt", python)
    trim(python)
    add_byte_code(python, folder, "/opt")


def install(requirements: Path, target: Path) -> None:
    """Put the wheels that a requirements file pins into a folder."""
    version = ".".join(map(str, RUNTIME))
    abi = f"cp{version.replace('.', '')}"
    platforms = [f"--platform={platform}" for platform in PLATFORMS]
    target_of = f"--implementation=cp --python-version={version} --abi={abi} --abi=abi3 --abi=none".split()
    how = [
        "--quiet",
        "--disable-pip-version-check",
        "--no-compile",
        "--no-deps",
        "--require-hashes",
        "--only-binary=:all:",
    ]
    pip = [sys.executable, "-m", "pip", "install", *how, *target_of, *platforms]
    subprocess.run([*pip, "--target", str(target), "-r", str(requirements)], check=True)  # noqa: S603 - our own arguments


def trim(python: Path) -> None:
    """Leave out what no function reads. METADATA stays: numcodecs asks for versions; so do the licences."""
    shutil.rmtree(python / "bin", ignore_errors=True)
    for tests in [path for path in python.rglob("tests") if path.is_dir()]:
        shutil.rmtree(tests, ignore_errors=True)
    for package, patterns in UNUSED.items():
        for path in [path for pattern in patterns for path in (python / package).glob(pattern)]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for model in (python / "botocore/data").glob("*/"):
        if model.name not in SERVICES:
            shutil.rmtree(model)
    for path in python.rglob("*"):
        # RECORD lists what pip wrote, which is no longer what is there.
        if path.is_file() and (path.suffix in UNREAD or path.name == "RECORD"):
            path.unlink()
        elif ".so" in path.suffixes:
            strip(path)


def strip(library: Path) -> None:
    """Keep of a shared library what the loader maps: no debug sections, no symbols for linkers, no section table.

    rasterio's extension modules are four fifths debug sections. `strip` of binutils breaks libraries that went through
    patchelf, as those in wheels have: it has put segments behind these sections, so the segments move together here.
    """
    data = library.read_bytes()
    if data[:6] != b"\x7fELF\x02\x01":  # 64 bit, little-endian
        return
    # System V ABI, "ELF Header" and "Program Header", as in <elf.h>: Elf64_Ehdr, Elf64_Phdr.
    table, (entry, count) = struct.unpack_from("<Q", data, 32)[0], struct.unpack_from("<HH", data, 54)
    headers = [list(struct.unpack_from("<IIQQQQQQ", data, table + index * entry)) for index in range(count)]
    kept = bytearray()
    moved: list[tuple[int, int, int]] = []
    for kind, _, offset, address, _, size, _, alignment in sorted(headers, key=itemgetter(2)):
        if kind == PT_LOAD:
            # A segment is mapped by pages: where it lies in a page of the file is where it lies in a page of memory.
            kept += bytes((address - len(kept)) % max(alignment, 1))
            moved.append((offset, offset + size, len(kept) - offset))
            kept += data[offset : offset + size]
    if not any(start <= table < end and by == 0 for start, end, by in moved) or len(kept) >= len(data):
        return  # the table of segments would have to move too, or nothing is gained
    for index, header in enumerate(headers):
        inside = [by for start, end, by in moved if start <= header[2] and header[2] + header[5] <= end]
        if header[5] and not inside:
            return  # something is read from the file beside the segments
        header[2] += inside[0] if inside else -header[2]
        struct.pack_into("<IIQQQQQQ", kept, table + index * entry, *header)
    struct.pack_into("<Q", kept, 40, 0)  # e_shoff: no section table
    struct.pack_into("<HH", kept, 60, 0, 0)  # e_shnum, e_shstrndx
    library.write_bytes(kept)


def add_model(source: Path, target: Path, *, whole: bool) -> None:
    """Copy what a model's card lists, if that is what it says; unless `whole` only the card and the STAC item."""
    missing = [name for name in (CARD, ITEM) if not (source / name).is_file()]
    if missing:
        sys.exit(f"model {source.name}: {source / missing[0]} is not there; {remedy(source.name)}")
    listed = json.loads((source / CARD).read_bytes())["files"] if whole else []
    target.mkdir(parents=True)
    for file in listed:
        path = source / file["name"]
        found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "not there"
        if found != file["sha256"]:
            sys.exit(f"model {source.name}: {path} is {found}, its card says {file['sha256']}; {remedy(source.name)}")
    for name in (CARD, ITEM, *(file["name"] for file in listed)):
        shutil.copyfile(source / name, target / name)


def remedy(model: str) -> str:
    """Where a model's folder comes from."""
    return f"take the folder from the repository again, or publish the model there by its training (--out layers/models/{model})"


def add_byte_code(folder: Path, root: Path, mounted: str) -> None:
    """Compile what lies below a folder; tracebacks name the files as they lie on Lambda."""
    done = compileall.compile_dir(
        folder,
        quiet=1,
        workers=0,
        stripdir=str(root),
        prependdir=mounted,
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
    )
    if not done:
        sys.exit(f"{folder} holds files that Python {sys.version.split()[0]} cannot compile")


if __name__ == "__main__":
    if sys.version_info[:2] != RUNTIME:
        sys.exit(
            f"byte code is for one version: run this with Python {'.'.join(map(str, RUNTIME))}, this is {sys.version.split()[0]}"
        )
    main(sys.argv[1], Path(sys.argv[2]).resolve(), sys.argv[3:])
