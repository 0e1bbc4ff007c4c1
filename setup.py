"""The packages: every folder of refimpl, and those whose folders have shorter names. The rest is in pyproject.toml."""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(include=["refimpl", "refimpl.*"]),
        "refimpl_cli",
        "refimpl_figures",
        "refimpl_figures.plots",
    ]
)
