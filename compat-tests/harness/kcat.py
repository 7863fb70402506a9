"""kcat as a tool: lines in, lines out."""

import hashlib
import subprocess

from . import tools

TIMEOUT_S = 1800


def kcat(*arguments, **options):
    """Runs kcat to its end; a non-zero exit is an error with its last words."""
    done = subprocess.run([tools.program("kcat", "kcat"), *arguments], stderr=subprocess.PIPE, check=False,
                          timeout=TIMEOUT_S, **options)
    if done.returncode:
        raise RuntimeError(f"kcat {' '.join(arguments)}: {done.stderr.decode(errors='replace')[-500:]}")
    return done


def produce_file(bootstrap, topic, path, codec, *extra):
    """Every line of the file becomes a record of partition 0, idempotence on."""
    with open(path, "rb") as lines:
        kcat("-b", bootstrap, "-P", "-t", topic, "-p", "0", "-z", codec, "-X", "enable.idempotence=true",
             "-X", "queue.buffering.max.messages=1000000", *extra, stdin=lines)


def consume_digest(bootstrap, topic, *extra):
    """`(sha256, bytes)` of partition 0 from its beginning to its end, one line a record."""
    process = subprocess.Popen(
        [tools.program("kcat", "kcat"), "-b", bootstrap, "-C", "-t", topic, "-p", "0", "-o", "beginning", "-e", "-q", *extra],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    digest, size = hashlib.sha256(), 0
    with process:
        while piece := process.stdout.read(1 << 20):
            digest.update(piece)
            size += len(piece)
        errors = process.stderr.read().decode(errors="replace")
    if process.returncode:
        raise RuntimeError(f"kcat -C {topic}: {errors[-500:]}")
    return digest.hexdigest(), size


def version():
    """For the table."""
    try:
        words = subprocess.run(["kcat", "-V"], capture_output=True, text=True, check=False).stdout
        return "kcat " + words.split("Version ")[1].split()[0] + ", librdkafka " + words.split("librdkafka ")[1].split()[0]
    except (OSError, IndexError):
        return "kcat (Debian)"
