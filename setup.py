"""The packages, found in three folders, two of them installed under longer names; the rest is in pyproject.toml."""

from setuptools import find_packages, setup

INSTALLED_AS = {"refimpl": "refimpl", "cli": "refimpl_cli", "figures": "refimpl_figures", "docs": "refimpl_docs"}

found = {folder: find_packages(include=[folder, f"{folder}.*"]) for folder in INSTALLED_AS}
setup(packages=[INSTALLED_AS[top] + name.removeprefix(top) for top, names in found.items() for name in names])
