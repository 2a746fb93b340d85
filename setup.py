"""Packages: harness/ as `harness`, plugins/ as `harness_plugins`. All other metadata stands in pyproject.toml."""

from setuptools import find_packages, setup

plugins = find_packages("plugins")

setup(
    packages=[
        *find_packages(include=["harness", "harness.*"]),
        "harness_plugins",
        *(f"harness_plugins.{name}" for name in plugins),
    ],
    package_dir={"harness_plugins": "plugins"},
    include_package_data=False,
    package_data={"harness": ["py.typed", "**/*.json", "**/*.safetensors", "**/*.txt"]},
)
