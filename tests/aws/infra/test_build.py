"""The built bundle: within Lambda's size, importable by the runtime's own Python from nothing but itself, and whole."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from aws.infra.built import ALL_MODELS, MODELS, Function, Unavailable, built, imported, python313
from aws.infra.template import ROOT, functions, template
from eo.card import CARD, ITEM

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 262_144_000
"""Bytes of a function and its layers, unzipped (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html)."""
HEAVY = {"rasterio", "zarr", "onnxruntime"}
COMPUTING = {name for name, found in functions().items() if found["Layers"][0] == {"Ref": "ComputeLayer"}}
IMPORT = """
import importlib, json
module = importlib.import_module({module!r})
assert callable(module.handler)
files = {{name: [found.__file__, getattr(found, "__cached__", None)] for name, found in list(sys.modules.items())
          if getattr(found, "__file__", None)}}
print(json.dumps(files))
"""
GEO = """
import numpy, pyproj, rasterio, rasterio.warp, shapely
from rasterio.io import MemoryFile
truth = numpy.arange(256 * 256, dtype="uint16").reshape(256, 256)
grid = dict(width=256, height=256, count=1, dtype="uint16", crs="EPSG:32632", transform=rasterio.Affine(10, 0, 7e5, 0, -10, 5.1e6))
for driver, options in (("JP2OpenJPEG", dict(QUALITY=100, REVERSIBLE="YES")), ("GTiff", dict(compress="deflate", tiled=True))):
    with MemoryFile() as memory:
        with memory.open(driver=driver, **grid, **options) as file:
            file.write(truth, 1)
        with memory.open() as file:
            assert (file.read(1) == truth).all(), driver
            assert file.crs.to_epsg() == 32632
moved, _ = rasterio.warp.reproject(truth, numpy.zeros_like(truth), src_transform=grid["transform"], src_crs="EPSG:32632",
                                   dst_transform=grid["transform"], dst_crs="EPSG:32632")
assert (moved == truth).all()
"""
COMPUTE = """
import io
from PIL import Image
file = io.BytesIO()
Image.new("RGB", (3, 2), (1, 2, 3)).save(file, "PNG")
assert Image.open(file).getpixel((2, 1)) == (1, 2, 3)
import os, pathlib, sys
os.environ |= {environment}
import onnxruntime
network = bytes.fromhex({network!r})
session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
[made] = session.run(None, {{"x": numpy.array([-1, 2], "float32")}})
assert made.tolist() == [0, 2]
assert not list(pathlib.Path(os.environ["HOME"]).rglob("*")), "onnxruntime keeps what it has to tell"
"""
RELU = (
    "08083a2f0a0c0a0178120179220452656c751201675a0d0a017812080a06080112020a00620d0a017912080a06080112020a0042040a001011"
)
"""A network of one node, y = max(x, 0), as ONNX."""
CHECKED = """
import pathlib
from eo.model import checked
for name in {names}:
    model = checked(pathlib.Path({folder!r}) / name)
    assert model.card.name == name
"""
BOTH = """
import importlib.metadata, boto3, numpy, obstore, pydantic, pyproj, shapely, zarr
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.storage import ObjectStore
from obstore.store import MemoryStore
array = zarr.create_array(ObjectStore(MemoryStore()), shape=(64, 64), chunks=(32, 32), dtype="uint16", fill_value=0,
                          compressors=[BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle"), Crc32cCodec()])
array[:] = numpy.arange(4096).reshape(64, 64)
assert (array[:].ravel() == numpy.arange(4096)).all()
assert numpy.allclose(numpy.linalg.inv(2 * numpy.eye(3)), numpy.eye(3) / 2)
east, north = pyproj.Transformer.from_crs(4326, 32632, always_xy=True).transform(9.0, 0.0)
assert (round(east, 3), round(north, 3)) == (500000.0, 0.0)
assert shapely.box(0, 0, 2, 2).difference(shapely.box(0, 0, 1, 2)).area == 2
assert importlib.metadata.version("numcodecs")
for service in {services}:
    boto3.client(service, aws_access_key_id="key", aws_secret_access_key="secret")
"""


@pytest.fixture(scope="module")
def bundle() -> dict[str, Function]:
    try:
        return built()
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize("name", functions())
def test_a_function_with_its_layers_fits_into_lambda(bundle: dict[str, Function], name: str) -> None:
    size = bundle[name].size
    assert size < LIMIT, f"{name} has {size:,} bytes of {LIMIT:,}"


@pytest.mark.parametrize("name", functions())
def test_a_handler_is_imported_from_the_bundle_alone_with_its_byte_code(bundle: dict[str, Function], name: str) -> None:
    function = bundle[name]
    module = function.handler.rpartition(".")[0]
    files: dict[str, list[str | None]] = json.loads(imported(function, IMPORT.format(module=module)))
    library = python313().rpartition("/bin/")[0]
    own = {found: path for found, (path, _) in files.items() if path and not path.startswith(library)}
    assert {path for path in own.values() if not path.startswith(tuple(map(str, function.folders)))} == set()
    assert module in own
    compiled = {path: files[found][1] for found, path in own.items() if path.endswith(".py")}
    assert [path for path, cached in compiled.items() if not (cached and _exists(cached))] == []
    # What orders and describes stays light.
    if name in {"ApiFunction", "UploadFunction"}:
        assert not HEAVY & set(files)
    if name in COMPUTING:
        assert "rasterio" not in files


@pytest.mark.parametrize(("name", "code"), [("FetchFunction", GEO), ("MergeFunction", COMPUTE)])
def test_what_was_trimmed_still_works(bundle: dict[str, Function], name: str, code: str, tmp_path: Path) -> None:
    told = {"HOME": str(tmp_path), "ORT_DISABLE_TELEMETRY": template_variable("ORT_DISABLE_TELEMETRY")}
    both = BOTH.format(services=sorted(_services()))
    imported(bundle[name], both + (code.format(environment=told, network=RELU) if code == COMPUTE else code))


@pytest.mark.parametrize("name", MODELS)
def test_models_are_in_the_bundle_and_their_function_runs_them(bundle: dict[str, Function], name: str) -> None:
    function = bundle[name]
    assert function.models is not None
    assert sorted(path.name for path in function.models.iterdir()) == sorted(MODELS[name])
    imported(function, CHECKED.format(names=MODELS[name], folder=str(function.models)))


@pytest.mark.parametrize("name", ["PlanFunction", "MergeFunction", "UploadFunction"])
def test_who_plans_and_merges_has_the_cards_alone(bundle: dict[str, Function], name: str) -> None:
    function = bundle[name]
    assert function.models is not None
    found = {path.relative_to(function.models).as_posix() for path in function.models.rglob("*") if path.is_file()}
    assert found == {f"{model}/{file}" for model in ALL_MODELS for file in (CARD, ITEM)}
    code = "import os\nos.environ['EO_SHARDS_MODELS'] = {folder!r}\nfrom eo.model import read_card\nfor name in {names}:\n    read_card(name)\n"
    imported(function, code.format(folder=str(function.models), names=ALL_MODELS))


def test_the_merge_writes_parquet(bundle: dict[str, Function]) -> None:
    code = (
        "import io\nfrom arro3.core import Array, DataType, RecordBatch\nfrom arro3.io import read_parquet, write_parquet\n"
        "made = RecordBatch.from_pydict({'x': Array([1, 2], DataType.int64())})\nfile = io.BytesIO()\n"
        "write_parquet(made, file, compression='zstd(3)')\nfile.seek(0)\nassert read_parquet(file).read_all().num_rows == 2\n"
    )
    imported(bundle["MergeFunction"], code)


def test_byte_code_is_never_compared_with_its_source(bundle: dict[str, Function]) -> None:
    """Bytes 4 to 8 of a .pyc: 1 is a hash that is not checked (PEP 552). Timestamps would not survive the zip."""
    for folder in {folder for function in bundle.values() for folder in function.folders}:
        compiled = list(folder.rglob("*.pyc"))
        assert compiled or (folder / "models").is_dir()
        assert {path.read_bytes()[4:8] for path in compiled} <= {b"\x01\0\0\0"}
        sources = [path for path in folder.rglob("*.py") if "lib2to3" not in path.parts]
        assert len(compiled) == len(sources)


def test_no_tests_tools_or_machine_paths_are_deployed(bundle: dict[str, Function]) -> None:
    for folder in {folder for function in bundle.values() for folder in function.folders}:
        assert not {"cli", "workflow.asl.json"} & {path.name for path in folder.iterdir()}
        names = {path.name for path in folder.rglob("*")}
        assert not {name for name in names if name in {"tests", ".git"} or name.endswith(".egg-info")}
        for path in folder.rglob("*.pyc"):
            if "eo" in path.parts:
                assert str(ROOT).encode() not in path.read_bytes()


def test_layers_hold_the_models_of_all_services_that_are_called() -> None:
    build = (ROOT / "layers" / "build.py").read_text()
    kept = set(re.findall(r'"([a-z0-9]+)"', re.search(r"SERVICES = \{([^}]*)\}", build)[1]))  # type: ignore[index]
    assert _services() <= kept


@pytest.mark.parametrize("layer", ["geo", "compute", "tables"])
def test_layers_are_pinned_to_the_versions_of_the_project(layer: str) -> None:
    """With hashes, and each to a version that the project's own lock has too."""
    pinned = re.findall(
        r"^([a-z0-9.-]+)==([^ ;\\]+)", (ROOT / "layers" / layer / "requirements.txt").read_text(), re.MULTILINE
    )
    locked = set(re.findall(r"^([a-z0-9.-]+)==([^ ;\\]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    assert set(pinned) <= locked, sorted(set(pinned) - locked)
    wanted = re.findall(r"^[a-z0-9-]+", (ROOT / "layers" / layer / "requirements.in").read_text(), re.MULTILINE)
    assert set(wanted) <= {name for name, _ in pinned}


def test_without_the_runtimes_python_the_build_says_what_is_missing() -> None:
    found = subprocess.run(
        [sys.executable, ROOT / "layers" / "python313.py"],
        env={"PATH": "/nowhere", "HOME": "/nowhere"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (found.returncode, found.stdout) == (1, "")
    assert "EO_SHARDS_PYTHON313" in found.stderr


def template_variable(name: str) -> str:
    return str(template()["Globals"]["Function"]["Environment"]["Variables"][name])


def _exists(path: str) -> bool:
    return (ROOT / path).is_file()


def _services() -> set[str]:
    """Services for which the functions make clients."""
    sources = "\n".join(path.read_text() for path in (ROOT / "functions").rglob("*.py"))
    return set(re.findall(r"\b(?:client|resource|create_client)\(\s*\"([a-z0-9-]+)\"", sources)) | {"secretsmanager"}
