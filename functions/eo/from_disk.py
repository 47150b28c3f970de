"""`index.html` beside a result: what it is for whoever opens the folder, and how to see it move.

Browsers read no byte ranges of file:// and run no modules there, so a page on the disk cannot stream a point cloud: it
shows the pictures and names the command that serves the rest. No script, no job id, no time: equal results give equal pages.
"""

from collections.abc import Mapping, Sequence
from html import escape

INDEX = "index.html"
TITLE = "Page"
TYPE = "text/html"

_STYLE = """
:root { color-scheme: light dark }
body { font: 1rem/1.6 system-ui, sans-serif; max-width: 56rem; margin: 0 auto; padding: 2rem 1.25rem }
h1 { font-size: 1.4rem; line-height: 1.3 }
img { max-width: 100%; height: auto; border-radius: .5rem }
figure { margin: 1.5rem 0 }
pre { background: #8882; border: 1px solid #8886; border-radius: .5rem; padding: .75rem 1rem; overflow-x: auto }
li { overflow-wrap: anywhere }
footer { font-size: .85rem; margin-top: 2rem }
"""
_STREAMS = (
    "<p>To look at it from all sides, run this in this folder. It opens the page that streams the point cloud; opened "
    "from disk, as this one is, a page may not read pieces of files.</p><pre><code>eo-shards view .</code></pre>"
)


def page(title: str, *, files: Sequence[str], pictures: Mapping[str, str], notices: Sequence[str]) -> bytes:
    """The page; `files` are the result's names, `pictures` captions by name, `notices` what the data's licences want said."""
    streams = any(name.endswith(".copc.laz") for name in files)
    shown = "".join(
        f'<figure><img src="{escape(name)}" alt="{escape(caption)}"><figcaption>{escape(caption)}</figcaption></figure>'
        for name, caption in pictures.items()
    )
    listed = "".join(f'<li><a href="{escape(name)}">{escape(name)}</a></li>' for name in files)
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>{escape(title)}</h1>"
        f"{_STREAMS if streams else ''}{shown}<h2>Files</h2><ul>{listed}</ul></main>"
        f"<footer>{'<br>'.join(escape(notice) for notice in notices)}</footer></body></html>\n"
    )
    return text.encode()
