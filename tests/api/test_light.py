"""The API starts without what only work needs."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
HEAVY = {"rasterio", "osgeo", "zarr", "numcodecs", "onnxruntime", "PIL", "torch", "shapely", "pyproj", "pystac_client",
    "requests", "boto3", "botocore", "obstore", "s3fs", "rich", "arro3"}
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in HEAVY:
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Block())
import json
import api.handler
from api.app import make_app
from eo.settings import Settings
app = make_app(None, settings=Settings.from_environment({"EO_SHARDS_HOME": "/x"}), owner=api.handler.caller, local_files=False)
context = {"domainName": "a", "stage": "$default", "http": {"method": "GET"}}
for path in ("/", "/api", "/processes", "/processes/point-cloud", "/processes/land-cover"):
    event = {"rawPath": path, "headers": {}, "requestContext": {**context, "http": {"method": "GET", "path": path}}}
    print(app(event, None)["statusCode"])
"""


def test_descriptions_are_given_without_heavy_libraries() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={
            "PYTHONPATH": str(Path(__file__).parents[2] / "functions"),
            "PATH": "/usr/bin:/bin",
            "HOME": "/nonexistent",
        },
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["200"] * 5
