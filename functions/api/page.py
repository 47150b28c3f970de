"""The landing page for people with a browser."""

from html import escape

from api.models import LandingPage, ProcessSummary

HTML = "text/html; charset=utf-8"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}
"""The page has no script, no picture and no form, and may have none."""

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --accent: #1f6f8b }
body { font: 1rem/1.6 system-ui, sans-serif; max-width: 44rem; margin: 0 auto; padding: 3rem 1.25rem }
h1 { font-size: 2rem; letter-spacing: -.02em; margin: 0 }
h2 { font-size: 1rem; text-transform: uppercase; letter-spacing: .08em; opacity: .7; margin: 2.5rem 0 .5rem }
p { margin: .25rem 0 0 }
ul { list-style: none; margin: 0; padding: 0 }
li { border-top: 1px solid var(--line); padding: .6rem 0 }
a { color: var(--accent); font-weight: 600; text-decoration: none }
a:hover, a:focus-visible { text-decoration: underline }
small { display: block; opacity: .75 }
pre { background: #8881; border: 1px solid var(--line); border-radius: .5rem; padding: .9rem; overflow-x: auto; font-size: .85rem }
"""


def html(landing: LandingPage, processes: list[ProcessSummary], base: str) -> str:
    """The landing page as HTML."""
    offered = "".join(
        f'<li><a href="{escape(base)}/processes/{escape(each.id)}">{escape(each.title)}</a> '
        f"<small>{escape(each.description)}</small></li>"
        for each in processes
    )
    links = "".join(
        f'<li><a href="{escape(link.href)}">{escape(link.title or link.href)}</a> <small>{escape(link.href)}</small></li>'
        for link in landing.links
        if link.rel not in {"self", "alternate"}
    )
    example = (
        f"curl -X POST {base}/processes/{processes[0].id}/execution \\\n"
        "  -H 'Content-Type: application/json' -H 'Idempotency-Key: my-first-order' \\\n"
        """  -d '{"inputs": {"bbox": [11.2, 46.4, 11.3, 46.5]}}'"""
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(landing.title)}</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>{escape(landing.title)}</h1><p>{escape(landing.description)}</p>"
        f"<h2>What can be ordered</h2><ul>{offered}</ul>"
        f"<h2>Order it</h2><pre><code>{escape(example)}</code></pre>"
        f"<p>The answer names the job; its status has a link to the results once it is successful.</p>"
        f"<h2>Documents</h2><ul>{links}</ul>"
        "</main></body></html>"
    )
