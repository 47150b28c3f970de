"""The page beside a result, for whoever opens the folder."""

from collections.abc import Sequence
from html.parser import HTMLParser

from eo.from_disk import page

FILES = ["point_cloud.copc.laz", "preview.png", 'a "b" <c>.txt']


class Links(HTMLParser):
    """What a page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.found += [(tag, value or "") for name, value in attrs if name in {"href", "src"}]


def made(title: str = "Coloured point cloud of 1,2,3,4", files: Sequence[str] = FILES) -> str:
    notices = ["contains modified data 2026", "a & b"]
    return page(title, files=files, pictures={"preview.png": "From above"}, notices=notices).decode()


def test_it_names_the_command_the_files_and_whose_data_it_is() -> None:
    text = made()
    assert "eo-shards view ." in text
    assert "opened from disk" in text
    assert "contains modified data 2026" in text
    links = Links()
    links.feed(text)
    assert [link for tag, link in links.found if tag == "a"] == FILES
    assert [link for tag, link in links.found if tag == "img"] == ["preview.png"]


def test_it_needs_no_script_and_no_other_server() -> None:
    links = Links()
    links.feed(made())
    assert "script" not in links.tags
    assert not any("//" in link for _, link in links.found)


def test_names_are_no_markup() -> None:
    assert "<b>" not in made("<b>bold</b>")
    assert "a & b" not in made()


def test_equal_results_give_equal_pages() -> None:
    assert made() == made()


def test_without_a_cloud_that_streams_it_promises_none() -> None:
    text = made(files=["point_cloud.ply", "preview.png"])
    assert "eo-shards view" not in text
    assert "preview.png" in text
