"""The website's settings (`make site`). What turns the notebooks into pages is course_site.py, beside this file."""

import pathlib
import sys
import tomllib

ROOT = pathlib.Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "Recurrent networks and attention, by hand"
html_title = project
author = PROJECT["authors"][0]["name"]
version = release = PROJECT["version"]
html_show_copyright = html_show_sphinx = False
language = "en"
smartquotes = False                  # a quotation mark stays what its author typed

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "sphinx_copybutton", "course_site"]
root_doc = "docs/index"
include_patterns = ["docs/*.md", "notebooks/*.ipynb", "notebooks/trials/*.ipynb", "exercises/*.ipynb",
                    "CONTRIBUTING.md", "CHANGELOG.md"]
exclude_patterns = ["**/.ipynb_checkpoints"]

nb_execution_mode = "off"            # the pages are the notebooks as they are saved
nb_merge_streams = True
nb_ipywidgets_js = {}                # widgets have no kernel here, and their scripts would come from elsewhere
myst_enable_extensions = ["dollarmath"]
suppress_warnings = ["mystnb.unknown_mime_type", "myst.header"]

html_theme = "furo"                  # search, dark theme, small screens; system fonts, nothing from elsewhere
html_static_path = ["static"]
templates_path = ["templates"]
html_favicon = "static/favicon.svg"
html_css_files = ["site.css"]
html_js_files = [("site.js", {"defer": "defer"})]
html_math_renderer = "mathml"        # the browser's own: no script, no fonts, read aloud
html_copy_source = html_show_sourcelink = False
html_domain_indices = html_use_index = False
pygments_style, pygments_dark_style = "a11y-high-contrast-light", "a11y-high-contrast-dark"
copybutton_selector = "div.highlight pre"
copybutton_exclude = ".linenos, .gp, .go"
autodoc_member_order = "bysource"
