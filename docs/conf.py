"""Sphinx settings: `make docs` builds the pages of this folder into build/site; a warning is an error."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

import gxevent  # noqa: E402

project = "gxevent"
author = copyright = "The gxevent developers"
version = release = gxevent.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click", "sphinx_copybutton", "chip_pages", "docstrings"]
exclude_patterns = ["_ext"]
smartquotes = False  # they would make one dash of the two before an option

# Pages are plain Markdown that also reads well on its own.
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_type_aliases = {"NDArray": "NDArray"}  # as it is written, not what it stands for
autodoc_default_options = {"members": True}
python_use_unqualified_type_names = True
python_display_short_literal_types = True

copybutton_prompt_text = r"\$ |>>> "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True

html_theme = "furo"
html_title = f"gxevent {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = html_show_sourcelink = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b5c8a", "color-brand-content": "#0b5c8a"},
    "dark_css_variables": {"color-brand-primary": "#6fb7e0", "color-brand-content": "#6fb7e0"},
}
