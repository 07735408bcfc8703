"""environment.yml and pyproject.toml ask for the same packages in the same versions."""

import tomllib

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from course import ROOT

CONDA_NAMES = {"pytorch": "torch", "matplotlib-base": "matplotlib"}


def test_environment_and_pyproject_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {r.name: r.specifier for r in map(Requirement, project["dependencies"])}
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    lines = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    conda = {}
    for line in lines:
        name, _, versions = line.partition(" ")
        conda[CONDA_NAMES.get(name, name)] = SpecifierSet(versions)
    assert conda.pop("python") == SpecifierSet(project["requires-python"])
    conda.pop("pip")
    assert conda == wanted
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    assert {"pip": ["-e ."]} in environment["dependencies"]
