"""Independent readers of point clouds, so that tests do not hold the writer against itself."""

import importlib
import os
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

Points = tuple[NDArray[np.float64], NDArray[np.uint8]]
"""Coordinates (n, 3) and red, green, blue (n, 3)."""


def read_plyfile(path: Path) -> Points:
    vertices = _import("plyfile").PlyData.read(path)["vertex"]
    return (
        np.column_stack([np.asarray(vertices[axis], np.float64) for axis in "xyz"]),
        np.column_stack([np.asarray(vertices[colour]) for colour in ("red", "green", "blue")]),
    )


def read_open3d(path: Path) -> Points:
    points = _import("open3d").t.io.read_point_cloud(str(path)).point
    return points.positions.numpy().astype(np.float64), points.colors.numpy()


def read_cloudcompare(path: Path, tmp_path: Path) -> Points:
    """Let CloudCompare's command line load a file and save it as a PLY file of its own.

    It holds float32, so without a shift large coordinates lose up to half a metre. It chooses one by itself and takes it off again
    when it saves: coordinates within 10 km of the origin are then exact, others good to float32 of the shifted ones.
    """
    binary = shutil.which("CloudCompare") or shutil.which("cloudcompare.CloudCompare")
    if binary is None:
        pytest.skip("CloudCompare is not installed (Debian: apt install cloudcompare)")
    result = tmp_path / "cloudcompare.ply"
    # fmt: off
    command = [
        binary, "-SILENT", "-AUTO_SAVE", "OFF", "-NO_TIMESTAMP", "-C_EXPORT_FMT", "PLY", "-PLY_EXPORT_FMT", "BINARY_LE",
        "-O", "-GLOBAL_SHIFT", "AUTO", str(path.resolve()), "-SAVE_CLOUDS", "FILE", str(result.resolve()),
    ]
    # fmt: on
    environment = os.environ | {"QT_QPA_PLATFORM": "offscreen", "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    if not result.exists():
        if "could not connect to display" in done.stderr or "platform plugin" in done.stderr:
            pytest.skip(f"CloudCompare cannot run without a screen here: {done.stderr[-300:]}")
        pytest.fail(f"CloudCompare wrote nothing ({done.returncode}): {done.stdout[-2000:]} {done.stderr[-2000:]}")
    return read_plyfile(result)


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:  # OSError: a shared library of the system is missing
        pytest.skip(f"{name} cannot be imported here: {error}")
