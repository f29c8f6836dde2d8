"""`make setup` and what it goes by: the lock, the range of Pythons, and where torch comes from.

The Makefile is tried as it is, on a course of three packages and two indexes on loopback: one in PyPI's place,
one in the place of PyTorch's index of CPU builds, which holds other copies of NumPy and Pillow as well.
"""

import base64
import functools
import hashlib
import http.server
import importlib.metadata
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import tomllib
import zipfile

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = pathlib.Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = (ROOT / "constraints.txt").read_text(encoding="utf-8")
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8"))["jobs"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONDA_NAMES = {"torch": "pytorch"}
STALE = "constraints.txt is stale: make lock"
LOWEST, BEYOND = map(int, re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECT["requires-python"]).groups())
HIGHEST = BEYOND - 1
needs_make = pytest.mark.skipif(not shutil.which("make"), reason="no make here")


def requirements(*extras):
    """The direct dependencies, with those of the named extras."""
    lines = sum((PROJECT["optional-dependencies"][extra] for extra in extras), PROJECT["dependencies"])
    return [Requirement(line) for line in lines]


def locked():
    """The lines of constraints.txt: name -> list of (version, marker, the packages that want it)."""
    found = {}
    for entry in re.split(r"\n(?=[a-z0-9])", LOCK):
        if line := re.match(r"([\w.-]+)==(\S+)(?: ; (.*))?", entry):
            wanted_by = re.findall(r"^    # (?:via )? *(\S+)", entry, flags=re.MULTILINE)
            found.setdefault(line[1], []).append((line[2], line[3], wanted_by))
    return found


def test_the_lock_has_the_direct_dependencies_of_pyproject_and_no_others():
    asked = {name for name, entries in locked().items() for *_, by in entries if PROJECT["name"] in by}
    assert asked == {canonicalize_name(r.name) for r in requirements(*PROJECT["optional-dependencies"])}, STALE


def test_the_lock_satisfies_pyproject():
    for requirement in requirements(*PROJECT["optional-dependencies"]):
        (version, *_), = locked()[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), STALE


def test_a_direct_dependency_has_one_version_for_all_systems_and_pythons():
    for requirement in requirements(*PROJECT["optional-dependencies"]):
        (_, marker, _), = locked()[canonicalize_name(requirement.name)]
        assert marker is None


def test_the_lock_has_every_package_that_is_needed_here():
    missing, seen, queue = set(), set(), requirements("test")
    while queue:
        requirement = queue.pop()
        name = canonicalize_name(requirement.name)
        missing |= {name} - set(locked())
        for extra in {"", *requirement.extras} if (name, *requirement.extras) not in seen else ():
            queue += [r for r in map(Requirement, importlib.metadata.requires(name) or ())
                      if r.marker is None or r.marker.evaluate({"extra": extra})]
        seen.add((name, *requirement.extras))
    assert not missing, STALE


def test_the_lock_names_no_host_no_path_and_no_build():
    assert not re.search(r"://|^-|@|file:|==\S*\+", LOCK, flags=re.MULTILINE)


def test_environment_yml_is_in_step_with_pyproject_and_the_lock():
    listed = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    by_pip = next(entry["pip"] for entry in listed if isinstance(entry, dict))
    assert by_pip[-1] == "-e ."                              # pip takes no other options in such a list
    listed += by_pip
    versions = dict(re.split(r" ?(?:==)", entry) for entry in listed if isinstance(entry, str) and "==" in entry)
    assert versions == {CONDA_NAMES.get(r.name, r.name): locked()[canonicalize_name(r.name)][0][0]
                        for r in requirements("test")}
    python, = (entry for entry in listed if isinstance(entry, str) and entry.startswith("python "))
    assert python.removeprefix("python ") == PROJECT["requires-python"]


def test_readme_names_the_range_of_pythons():
    assert f"Python 3.{LOWEST} to 3.{HIGHEST}" in README
    assert set(re.findall(r"\bpython3\.(\d+)", README)) <= set(map(str, range(LOWEST, BEYOND)))


@pytest.mark.parametrize("job", ["linux-and-macos", "windows"])
def test_the_workflow_tries_the_lowest_and_the_highest_python(job):
    assert WORKFLOW[job]["strategy"]["matrix"]["python"] == [f"3.{LOWEST}", f"3.{HIGHEST}"]


def test_the_workflow_installs_on_windows_as_the_readme_says():
    install = next(step["run"] for step in WORKFLOW["windows"]["steps"] if "-m pip install" in step.get("run", ""))
    assert install.removeprefix("python ") in README


MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
CHECKS = [target for target in ("pytest", "nbval", "run-notebooks", "stability", "site")
          if re.search(rf"^{target}:", MAKEFILE, flags=re.MULTILINE)]


@needs_make
@pytest.mark.parametrize("target", CHECKS)
def test_the_checks_start_with_an_empty_folder_of_progress(target):
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.search(rf"rm -rf (\.venv/progress/{target}) && LSTMCOURSE_PROGRESS=\"[^\"]*/\1\" ", done)


def test_compiled_modules_are_kept_whatever_the_environment_says():
    done = subprocess.run(["make", "-s", "--eval", "shown: ; @env", "shown"], cwd=ROOT, capture_output=True, text=True,
                          check=True, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"})
    assert "PYTHONDONTWRITEBYTECODE" not in done.stdout
    assert "OPENBLAS_NUM_THREADS" in done.stdout             # the environment was shown


# --- `make setup`, on indexes of our own

def wheel(folder, name, version, origin, requires=()):
    """A wheel of one module that knows where it comes from; returns the file's name."""
    files = {f"{name}.py": f"origin = {origin!r}\n",
             f"{name}-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
                                                     + "".join(f"Requires-Dist: {r}\n" for r in requires),
             f"{name}-{version}.dist-info/WHEEL":
                 "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
    record = [f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip('=')},"
              f"{len(text)}\n" for path, text in files.items()]
    files[f"{name}-{version}.dist-info/RECORD"] = "".join(record) + f"{name}-{version}.dist-info/RECORD,,\n"
    path = pathlib.Path(folder) / f"{name}-{version}-py3-none-any.whl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in files.items():
            archive.writestr(inside, text)
    return path.name


BACKEND = """
import os, shutil
def build_editable(folder, config_settings=None, metadata_directory=None):
    return os.path.basename(shutil.copy({wheel!r}, folder))
"""


class Index(http.server.ThreadingHTTPServer):
    """An index on loopback: /pypi/ and /cpu/, and what was asked of each."""

    def __init__(self, folder):
        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *_):
                server.asked.append(self.path)

        server, self.asked = self, []
        super().__init__(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, index):
        return f"http://127.0.0.1:{self.server_port}/{index}"

    def names_asked(self, index):
        return {path.split("/")[2] for path in self.asked if path.startswith(f"/{index}/")}


def site_packages(environment):
    return next((environment / "lib").glob("python3*")) / "site-packages"


VERSIONS = {name: locked()[name][0][0] for name in ("torch", "numpy", "pillow")}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """What the two indexes hold, and an environment with nothing but pip, to be copied."""
    folder = tmp_path_factory.mktemp("shelf")
    for name, version in VERSIONS.items():
        wheel(folder / "pypi" / name, name, version, "PyPI")
    wheel(folder / "cpu" / "torch", "torch", f"{VERSIONS['torch']}+cpu", "PyTorch's index")
    for name in ("numpy", "pillow"):
        for version in ("1.0", VERSIONS[name]):
            wheel(folder / "cpu" / name, name, version, "PyTorch's index")
    (folder / "empty").mkdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    pip = pathlib.Path(importlib.metadata.distribution("pip").locate_file("."))
    for path in [pip / "pip", *pip.glob("pip-*.dist-info")]:
        (site_packages(folder / "venv") / path.name).symlink_to(path)
    return folder


class Course:
    """A course of three packages with this project's Makefile and lock."""

    def __init__(self, folder, shelf, uv):
        self.folder, self.shelf, self.index = folder, shelf, Index(shelf)
        for name in ("Makefile", "constraints.txt"):
            shutil.copy(ROOT / name, folder)
        requires = list(VERSIONS)
        (folder / "pyproject.toml").write_text(
            f'[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
            f'[project]\nname = "lstmcourse"\nversion = "1.0.0"\nrequires-python = "{PROJECT["requires-python"]}"\n'
            f'dependencies = {requires}\n[project.optional-dependencies]\ntest = []\n')
        own = wheel(folder / "own", "lstmcourse", "1.0.0", "here", requires)
        (folder / "backend.py").write_text(BACKEND.format(wheel=str(folder / "own" / own)))
        shutil.copytree(shelf / "venv", folder / ".venv", symlinks=True)
        tools = folder / "tools"
        tools.mkdir()
        if uv:
            (tools / "uv").symlink_to(uv)
        else:                                                # whatever else is on the PATH: this one is found first
            (tools / "uv").write_text("#!/bin/sh\nexit 1\n")
            (tools / "uv").chmod(0o755)
        self.tools = tools

    def make(self, *arguments, index="cpu", check=True, **variables):
        environment = {key: value for key, value in os.environ.items()
                       if not key.startswith(("PIP_", "UV_", "MAKE", "MFLAGS", "VIRTUAL_ENV", "PYTHONPATH"))}
        environment |= {"PATH": f"{self.tools}{os.pathsep}{environment['PATH']}", "HOME": str(self.folder / "home"),
                        "PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1", "PIP_INDEX_URL": self.index.url("pypi"),
                        "UV_NO_CONFIG": "1", "UV_CACHE_DIR": str(self.folder / "cache"),
                        "UV_DEFAULT_INDEX": self.index.url("pypi"), **variables}
        command = ["make", *(arguments or ["setup"]), f"PYTHON={variables.get('PYTHON', sys.executable)}",
                   f"TORCH_INDEX={self.index.url(index)}"]
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    @property
    def installed(self):
        """name -> (version, origin) of what is in .venv."""
        program = ("import importlib, importlib.metadata as m, sys\n"
                   "for n in sys.argv[1:]: print(n, m.version(n), importlib.import_module(n).origin, sep=';')")
        done = subprocess.run([self.folder / ".venv" / "bin" / "python", "-c", program, *VERSIONS],
                              capture_output=True, text=True, check=True)
        return {name: (version, origin) for name, version, origin in
                (line.split(";") for line in done.stdout.splitlines())}


PYPI = {name: (version, "PyPI") for name, version in VERSIONS.items()}
CPU = PYPI | {"torch": (f"{VERSIONS['torch']}+cpu", "PyTorch's index")}
SAYS_SO = "No CPU build from PyTorch's index"


@pytest.fixture(params=["uv", "pip alone"])
def course(request, tmp_path, shelf):
    """A course to set up, by uv or by pip alone."""
    beside = pathlib.Path(sys.executable).parent / "uv"
    uv = shutil.which("uv") or (beside if beside.exists() else None)
    if request.param == "uv" and not uv:
        pytest.skip("no uv here")
    folder = tmp_path / "the course"
    folder.mkdir()
    course = Course(folder, shelf, uv if request.param == "uv" else None)
    course.by_uv = request.param == "uv"
    yield course
    course.index.shutdown()


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere PyPI's torch is the CPU build")


@needs_make
@on_linux
def test_torch_alone_comes_from_pytorchs_index(course):
    done = course.make()
    assert course.installed == CPU
    assert course.index.names_asked("cpu") == {"torch"}
    assert SAYS_SO not in done.stdout
    assert ("pip does its work" in done.stdout) != course.by_uv


@needs_make
@on_linux
@pytest.mark.parametrize(("course", "index"), [("uv", "nowhere"), ("uv", "empty"), ("pip alone", "nowhere")],
                         indirect=["course"])
def test_torch_comes_from_where_pip_finds_it_when_the_index_has_none(course, index):
    done = course.make(index=index)
    assert course.installed == PYPI
    assert SAYS_SO in done.stdout


@needs_make
@on_linux
@pytest.mark.parametrize("course", ["uv"], indirect=True)
@pytest.mark.parametrize("before", [[], ["setup"]])
def test_cuda_1_takes_pypis_torch_also_when_the_cpu_build_is_here(course, before):
    for target in before:
        course.make(target)
    course.index.asked.clear()
    course.make("setup", "CUDA=1")
    assert course.installed == PYPI
    assert course.index.names_asked("cpu") == set()
    course.index.asked.clear()
    course.make()
    assert course.installed == PYPI
    assert not course.index.asked


@needs_make
@on_linux
@pytest.mark.parametrize("course", ["uv"], indirect=True)
def test_wheels_that_pip_is_told_of_are_found_by_uv_too(course, tmp_path):
    wheel(tmp_path / "wheels", "torch", f"{VERSIONS['torch']}+cpu", "a folder")
    course.make(index="nowhere", PIP_FIND_LINKS=str(tmp_path / "wheels"))
    assert course.installed == PYPI | {"torch": (f"{VERSIONS['torch']}+cpu", "a folder")}


def other_python(folder, version):
    """A Python that says it is of another version."""
    folder.mkdir(exist_ok=True)
    (folder / "other.py").write_text(f"import sys\nsys.version_info = ({version}, 0, 'final', 0)\n"
                                     "code, sys.argv = sys.argv[2], ['-c', *sys.argv[3:]]\nexec(code)\n")
    path = folder / f"python{version.replace(', ', '.')}"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{folder}/other.py" "$@"\n')
    path.chmod(0o755)
    return path


@needs_make
@pytest.mark.parametrize("minor", [LOWEST - 1, BEYOND])
def test_an_unsupported_python_gets_one_sentence_with_the_command_that_helps(tmp_path, shelf, minor):
    course = Course(tmp_path, shelf, None)
    python = other_python(tmp_path / "bin", f"3, {minor}")
    (course.tools / f"python3.{HIGHEST}").symlink_to(sys.executable)
    shutil.rmtree(course.folder / ".venv")
    done = course.make("lint", check=False, PYTHON=str(python))
    said, = (line for line in done.stderr.splitlines() if not line.startswith("make"))
    assert done.returncode != 0
    assert said == (f'This course needs Python 3.{LOWEST} to 3.{HIGHEST}; "{python}" is 3.{minor}. '
                    f"This machine has another: make lint PYTHON=python3.{HIGHEST}")
    assert not (course.folder / ".venv").exists()
    course.index.shutdown()


@needs_make
def test_a_python_that_is_not_there_gets_one_sentence(tmp_path, shelf):
    course = Course(tmp_path, shelf, None)
    done = course.make("setup", check=False, PYTHON="python3.0")
    said, = (line for line in done.stderr.splitlines() if not line.startswith("make"))
    assert said.startswith('There is no "python3.0" here.')
    course.index.shutdown()


@needs_make
@on_linux
@pytest.mark.parametrize("course", ["uv"], indirect=True)
def test_an_environment_without_pip_is_made_again(course):
    """As Debian leaves it when python3-venv was not installed yet."""
    (site_packages(course.folder / ".venv") / "pip").unlink()
    course.make()
    assert course.installed == CPU
    assert (site_packages(course.folder / ".venv") / "pip").exists()
