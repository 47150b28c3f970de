"""Operator settings: defaults, checks, and secrets that never show."""

import base64
from pathlib import Path

import pytest
from pydantic import SecretStr

from eo.errors import InvalidInput
from eo.settings import Settings, redact

SECRET = "sécret"
KEYS = {"CDSE_KEY": "AKEXAMPLE", "CDSE_SECRET": "s3cr3t/+example", "EARTH_DATA_HUB_KEY": "edh_pat_example"}


def test_the_public_endpoints_are_the_defaults(tmp_path: Path) -> None:
    settings = Settings.from_environment({"XDG_STATE_HOME": str(tmp_path)})
    assert settings.cdse_s3_endpoint == "https://eodata.dataspace.copernicus.eu"
    assert settings.home == tmp_path / "eo-shards"
    assert settings.workers >= 1
    assert (settings.worker_memory, settings.chunk) == (600, 1024)
    assert settings.cdse_key is None
    assert Settings.from_environment({"XDG_STATE_HOME": "relative"}).home == Path.home() / ".local/state/eo-shards"


def test_the_environment_is_read_and_empty_means_unset() -> None:
    settings = Settings.from_environment(
        {
            **KEYS,
            "CDSE_S3_ENDPOINT": "http://127.0.0.1:9000/",
            "EO_SHARDS_WORKERS": " 3 ",
            "EO_SHARDS_CHUNK": "64",
            "EO_SHARDS_RETRY_DELAY": "0",
            "EARTH_SEARCH_DATA_URLS": "http://127.0.0.1:1, http://127.0.0.1:2/",
            "EARTH_SEARCH_URL": "",
        }
    )
    assert settings.cdse_s3_endpoint == "http://127.0.0.1:9000"
    assert (settings.workers, settings.chunk, settings.retry_delay) == (3, 64, 0)
    assert settings.earth_search_data_urls == ("http://127.0.0.1:1", "http://127.0.0.1:2")
    assert settings.earth_search_url.startswith("https://earth-search")
    assert settings.cdse_key == SecretStr("AKEXAMPLE")


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"EO_SHARDS_WORKERS": "many"}, "EO_SHARDS_WORKERS='many': input should be a valid integer"),
        ({"EO_SHARDS_WORKERS": "0"}, "greater than or equal to 1"),
        ({"EO_SHARDS_RETRY_DELAY": "nan"}, "EO_SHARDS_RETRY_DELAY"),
        ({"CDSE_S3_ENDPOINT": "eodata.dataspace.copernicus.eu"}, "http:// or https://"),
        ({"CDSE_STAC_URL": "file:///etc/passwd"}, "http:// or https://"),
        ({"CDSE_STAC_URL": "https://host:port/"}, "http:// or https://"),
        ({"CDSE_S3_BUCKET": "../x"}, "CDSE_S3_BUCKET"),
        ({"CDSE_KEY": "AK"}, "CDSE_SECRET is not set"),
        ({"EARTH_SEARCH_DATA_URLS": ","}, "EARTH_SEARCH_DATA_URLS"),
    ],
)
def test_a_wrong_value_is_named_with_its_limit(environ: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidInput, match="environment variable") as caught:
        Settings.from_environment(environ)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "environ",
    [
        {"EARTH_DATA_HUB_URL": f"https://edh:{SECRET}@data.example/x.zarr"},
        {"EARTH_DATA_HUB_URL": f"https://data.example/x.zarr?key={SECRET}"},
        {"EARTH_DATA_HUB_KEY": f"{SECRET} two"},
        {"CDSE_KEY": f"{SECRET}\nX", "CDSE_SECRET": "x"},
    ],
)
def test_a_refused_value_that_may_hold_a_secret_is_not_shown(environ: dict[str, str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        Settings.from_environment(environ)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_secrets_do_not_show_and_are_cut_out_of_texts() -> None:
    settings = Settings.from_environment({**KEYS, "CDSE_SECRET": " s3cr3t/+example\n"})
    assert not any(secret in repr(settings) or secret in settings.model_dump_json() for secret in KEYS.values())
    basic = base64.b64encode(b"edh:edh_pat_example").decode()
    text = f"GET s3cr3t/+example s3cr3t%2F%2Bexample AKEXAMPLE Basic {basic} edh_pat_example"
    assert redact(text, settings) == "GET *** *** *** Basic *** ***"
