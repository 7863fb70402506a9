"""Toolchains and pinned client packages, installed once under `.cache`.

Everything comes through the ordinary package clients. What cannot be had raises `Unavailable`, which
the runner shows as a skip with its reason.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
# The longest build takes some minutes.
LIMIT_S = 3600


class Unavailable(Exception):
    """A toolchain or package that this machine lacks and cannot install."""


@contextlib.contextmanager
def installing():
    """One installation at a time, also between runs."""
    CACHE.mkdir(exist_ok=True)
    with open(CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(arguments, what, **options):
    """Runs an installer; its last words become the reason when it fails, or is not done after `LIMIT_S`."""
    process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, errors="replace", start_new_session=True, **options)
    try:
        output, _ = process.communicate(timeout=LIMIT_S)
    except BaseException as reason:
        # With all that it has started, or that would hold the pipe, and the run, for ever.
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if isinstance(reason, subprocess.TimeoutExpired):
            raise Unavailable(f"{what}: not done after {LIMIT_S} s") from reason
        raise
    if process.returncode:
        last = [line for line in output.splitlines() if line.strip()][-3:]
        raise Unavailable(f"{what}: {' | '.join(last)}")
    return output


def program(name, package):
    """The path of a program, from Debian's package when it is not there yet."""
    found = shutil.which(name)
    if found:
        return found
    debian(name, package)
    found = shutil.which(name)
    if not found:
        raise Unavailable(f"package {package} brought no {name}")
    return found


def header(name, package):
    """Checks that a C header is there, from Debian's package when it is not yet."""
    include = Path("/usr/include")
    if not (include / name).exists() and not any(include.glob(f"*-linux-*/{name}")):
        debian(name, package)


def debian(name, package):
    """Installs Debian's `package`, which brings `name`."""
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise Unavailable(f"no {name}; install Debian's package {package}")
    with installing():
        quiet = {"env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
        run(["apt-get", "update", "-qq"], "apt-get update", **quiet)
        run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", package], f"apt-get install {package}", **quiet)


def digest(*files):
    """A short name for the content of files."""
    total = hashlib.sha256()
    for file in files:
        total.update(Path(file).read_bytes())
    return total.hexdigest()[:12]


def installed(name, files, build):
    """The folder `.cache/NAME-DIGEST`; `build(folder)` fills it when it is new."""
    folder = CACHE / f"{name}-{digest(*files)}"
    with installing():
        if not (folder / ".complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            build(folder)
            (folder / ".complete").touch()
    return folder


def python(folder):
    """The interpreter of a virtual environment with exactly `folder/requirements.txt` (hashes checked)."""
    requirements = folder / "requirements.txt"

    def build(target):
        run([sys.executable, "-m", "venv", target], "python -m venv (Debian: python3-venv)")
        run([target / "bin/pip", "install", "-q", "--disable-pip-version-check", "--require-hashes",
             "-r", requirements], f"pip install for {folder.name}")
    return installed(f"python-{folder.name}", [requirements], build) / "bin/python"


def npm(folder):
    """The `node_modules` that `folder/package-lock.json` names; and checks that node is there."""
    manifest, lock = folder / "package.json", folder / "package-lock.json"
    program("node", "nodejs")
    client = program("npm", "npm")

    def build(target):
        shutil.copy(manifest, target)
        shutil.copy(lock, target)
        run([client, "ci", "--no-audit", "--no-fund", "--loglevel=error"], f"npm ci for {folder.name}", cwd=target)
    return installed(f"npm-{folder.name}", [manifest, lock], build) / "node_modules"


def npm_archive(client, lock, target):
    """The published archive of the npm package that `lock` names in one line, `SHA256  PACKAGE@VERSION`."""
    digest_wanted, package = lock.read_text().split()
    name = run([client, "pack", "--silent", package], f"npm pack {package}", cwd=target).split()[-1]
    return checked(target / name, digest_wanted)


def python_source(lock, target):
    """The source archive that PyPI has of the package that `lock` names in one line, `SHA256  PACKAGE==VERSION`."""
    digest_wanted, package = lock.read_text().split()
    run([sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "--no-binary", ":all:",
         "-d", target, package], f"pip download {package}")
    [archive] = target.glob("*.tar.gz")
    return checked(archive, digest_wanted)


def crate_source(client, lock, target):
    """The unpacked crate that `lock` names in one line, `SHA256  CRATE@VERSION`."""
    digest_wanted, package = lock.read_text().split()
    name, version = package.split("@")
    probe = target / "probe"
    (probe / "src").mkdir(parents=True)
    (probe / "src/lib.rs").touch()
    (probe / "Cargo.toml").write_text(f'[package]\nname = "probe"\nversion = "0.0.0"\nedition = "2021"\n'
                                      f'[dependencies]\n{name} = {{ version = "={version}", default-features = false }}\n'
                                      f'[workspace]\n')
    run([client, "fetch", "--quiet"], f"cargo fetch of {package}", cwd=probe)
    home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    archives = list(home.glob(f"registry/cache/*/{name}-{version}.crate"))
    if not archives:
        raise Unavailable(f"cargo fetch brought no {name}-{version}.crate")
    run(["tar", "xzf", checked(archives[0], digest_wanted), "-C", target], "tar")
    return target / f"{name}-{version}"


def checked(archive, wanted):
    """The archive, if it is the one that was pinned."""
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != wanted:
        raise Unavailable(f"{archive.name} has SHA-256 {found}, pinned is {wanted}")
    return archive


def go(folder, packages=("./...",), modules=None, cgo=False):
    """A folder with the programs of the Go module in `folder`, built with the modules of its `go.sum`.

    `modules`: a folder whose `go.mod` and `go.sum` stand in for its own. With `cgo` it needs a C compiler.
    """
    client = program("go", "golang-go")
    if cgo:
        program("gcc", "gcc")
    modules = modules or folder
    sources = [modules / "go.mod", modules / "go.sum", *sorted({*folder.rglob("*.go"), *(ROOT / "go/task").glob("*.go")})]

    def build(target):
        run([client, "build", "-mod=readonly", f"-modfile={modules / 'go.mod'}", "-trimpath", "-o", f"{target}/", *packages],
            f"go build of {modules.name}", cwd=folder, env={**os.environ, "CGO_ENABLED": "1" if cgo else "0"})
    return installed(f"go-{modules.name}", sources, build)


def cargo(folder):
    """A folder with the programs of the Rust package in `folder`, built with the crates of its `Cargo.lock`."""
    client = program("cargo", "cargo")
    for tool in ("gcc", "g++", "make"):
        program(tool, tool)
    sources = [folder / "Cargo.toml", folder / "Cargo.lock", *sorted(folder.rglob("*.rs"))]

    def build(target):
        run([client, "build", "--locked", "--bins", "--target-dir", target / "build"], f"cargo build of {folder.name}", cwd=folder)
        for built in (target / "build/debug").iterdir():
            if built.is_file() and os.access(built, os.X_OK):
                shutil.move(built, target)
        shutil.rmtree(target / "build")
    return installed(f"cargo-{folder.name}", sources, build)


def maven(folder):
    """A Java class path with the jars that `folder/pom.xml` asks for, checked against `folder/jars.sha256`."""
    pom, lock = folder / "pom.xml", folder / "jars.sha256"
    java()
    client = program("mvn", "maven")

    def build(target):
        run([client, "-q", "-B", "-f", pom, "dependency:copy-dependencies", f"-DoutputDirectory={target}",
             "-DincludeScope=runtime"], f"maven for {folder.name}")
        found = {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in target.glob("*.jar")}
        wanted = dict(reversed(line.split()) for line in lock.read_text().splitlines())
        if found != wanted:
            wrong = sorted(set(found.items()) ^ set(wanted.items()))
            raise Unavailable(f"maven for {folder.name}: jars differ from jars.sha256: {wrong[:4]}")
    return f"{installed(f'maven-{folder.name}', [pom, lock], build)}/*"


def java():
    """The `java` launcher of a JDK (single-file programs need its compiler)."""
    program("javac", "openjdk-17-jdk-headless")
    return program("java", "openjdk-17-jdk-headless")


def javac(source, folder, *more):
    """A class path with the compiled `source`, `more` that it needs, and the jars of `folder`."""
    jars = maven(folder)

    def build(target):
        run([program("javac", "openjdk-17-jdk-headless"), "-cp", jars, "-d", target, source, *more], f"javac {source.name}")
    return f"{installed(f'java-{source.stem}-{folder.name}', [source, *more, folder / 'pom.xml'], build)}:{jars}"
