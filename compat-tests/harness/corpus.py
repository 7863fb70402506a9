"""Real lines, gathered from what is on the machine: package indexes, documentation, headers, sources."""

import hashlib
import itertools
import os
from pathlib import Path

from .tools import CACHE, installing

# Lines above this are left out: the default max.message.bytes is 1 MiB.
MAX_LINE = 500_000
PLACES = ["/var/lib/apt/lists", "/usr/share/doc", "/usr/share/perl", "/usr/share/perl5", "/usr/include",
          "/usr/lib/python3", "/usr/local/go/src", "/usr/share/man", "/usr/share", "/usr/lib"]
HOME_PLACES = [".cargo/registry/src", ".rustup/toolchains", "go/pkg/mod", ".m2/repository"]


def corpus(mib):
    """`(path, sha256, lines)` of a file of at least `mib` MiB of lines, kept under `.cache`."""
    path = CACHE / f"corpus-{mib}"
    stamp = CACHE / f"corpus-{mib}.sha256"
    with installing():
        if not stamp.exists():
            stamp.write_text("{} {}".format(*gather(path, mib << 20)))
    digest, lines = stamp.read_text().split()
    return path, digest, int(lines)


def gather(path, size):
    """Fills the file; walks the places again when one walk is not enough."""
    digest, lines, written = hashlib.sha256(), 0, 0
    with open(path, "wb") as out:
        for walk in itertools.count():
            before = written
            for file in files():
                for line in lines_in(file):
                    out.write(line)
                    digest.update(line)
                    lines += 1
                    written += len(line)
                if written >= size:
                    return digest.hexdigest(), lines
            if written == before:
                raise RuntimeError(f"no lines found on this machine after {walk} walks")


def files():
    """Regular files in a fixed order; each real file once a walk."""
    home = Path.home()
    seen = set()
    for place in PLACES + [str(home / place) for place in HOME_PLACES]:
        for folder, folders, names in os.walk(place):
            folders.sort()
            for name in sorted(names):
                path = os.path.join(folder, name)
                if os.path.isfile(path) and not os.path.islink(path) and path not in seen:
                    seen.add(path)
                    yield path


def lines_in(path):
    """The non-empty lines of a file that looks like text (kcat drops empty ones), ends made `\\n`."""
    try:
        with open(path, "rb") as file:
            content = file.read(64 << 20)
    except OSError:
        return
    if b"\0" in content:
        return
    for line in content.split(b"\n"):
        if line and len(line) <= MAX_LINE:
            yield line + b"\n"
