"""The packages, found in their folders and installed under longer names; the rest is in pyproject.toml.

The tests are installed inside the documentation, which shows their source.
"""

from setuptools import find_namespace_packages, find_packages, setup

INSTALLED_AS = {
    "refimpl": "refimpl",
    "cli": "refimpl_cli",
    "figures": "refimpl_figures",
    "docs": "refimpl_docs",
    "tests": "refimpl_docs.tests",
}

found = {
    folder: (find_namespace_packages if folder == "tests" else find_packages)(include=[folder, f"{folder}.*"])
    for folder in INSTALLED_AS
}
setup(packages=[INSTALLED_AS[top] + name.removeprefix(top) for top, names in found.items() for name in names])
