"""Configuration of the documentation; see CONTRIBUTING.md for the commands."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

project = "dbqueue"
author = "the dbqueue authors"
project_copyright = f"2026, {author}"
with (ROOT / "pyproject.toml").open("rb") as file:
    release = version = tomllib.load(file)["project"]["version"]

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
exclude_patterns = ["_build"]
nitpicky = True

html_theme = "furo"
html_title = f"dbqueue {release}"
html_copy_source = False
html_show_sourcelink = False
