"""@confluentinc/kafka-javascript: librdkafka in Node.js, with an API like KafkaJS's and one like node-rdkafka's.

Its package brings the sources of the add-on and of librdkafka; the built add-on would come from a host that is no
registry, so it is built here, with the headers that lie beside Node.js and without fetching anything else.
"""

import os
import shutil
import sys
from pathlib import Path

from harness import tools
from harness.group import group_suite
from harness.suite import CLIENT_CASES, TRANSACTION_CASES, ProgramSuite

HERE = Path(__file__).resolve().parent
VERSION = "1.10.1, librdkafka 2.15"
PACKAGE = "@confluentinc/kafka-javascript"
# Without these librdkafka would lack gzip or zstd, and without a word. TLS and curl it may miss: nothing here uses them.
HEADERS = {"zlib.h": "zlib1g-dev", "zstd.h": "libzstd-dev"}


def program(file):
    def command(_):
        node = tools.program("node", "nodejs")
        return [node, HERE / file], {"NODE_PATH": str(built(node))}
    return command


def built(node):
    """A `node_modules` with the add-on for this version of Node.js."""
    npm = tools.program("npm", "npm")
    for tool in ("make", "gcc", "g++"):
        tools.program(tool, tool)
    for header, package in HEADERS.items():
        tools.header(header, package)
    prefix, abi = headers_of(node)
    files = [HERE / "package.json", HERE / "package-lock.json"]

    def build(target):
        for file in files:
            shutil.copy(file, target)
        tools.run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
                  f"npm ci for {HERE.name}", cwd=target)
        modules = target / "node_modules"
        # Linked dynamically librdkafka takes this system's libraries; statically it would download theirs.
        environ = {**os.environ, "CKJS_LINKING": "dynamic", "PATH": f"{bounded_make(target)}:{os.environ['PATH']}"}
        package = modules / PACKAGE
        tools.run([node, modules / "node-gyp/bin/node-gyp.js", "rebuild", f"--nodedir={prefix}", f"--python={sys.executable}"],
                  f"node-gyp for {HERE.name}", cwd=package, env=environ)
        for used in ("deps/librdkafka", "build/Release/obj.target"):
            shutil.rmtree(package / used)
    return tools.installed(f"npm-{HERE.name}-{abi}", files, build) / "node_modules"


def bounded_make(target):
    """A folder with a `make` that knows an end where the package's recipe says `-j`: as many jobs as there are cores.

    A call without it stays serial: the recipe's steps do not name all that they need.
    """
    script = target / "bin/make"
    script.parent.mkdir()
    script.write_text(f'''#!/bin/sh
case " $* " in *" -j "*) set -- "$@" -j{os.cpu_count()} ;; esac
exec {tools.program("make", "make")} "$@"
''')
    script.chmod(0o755)
    return script.parent


def headers_of(node):
    """The folder above `include/node` that belongs to this Node.js, and the version of its binary interface."""
    told = tools.run([node, "-p", "process.execPath + ' ' + process.versions.modules"], "node")
    path, abi = told.strip().rsplit(" ", 1)
    prefix = Path(path).resolve().parent.parent
    header = prefix / "include/node/node_version.h"
    if not header.exists() or f"#define NODE_MODULE_VERSION {abi}\n" not in header.read_text():
        raise tools.Unavailable(f"no headers of this Node.js (interface {abi}) in {header.parent}, to build the add-on with")
    return prefix, abi


SUITES = [
    ProgramSuite("confluent-kafka-javascript", VERSION, program("client.js"),
                 [*CLIENT_CASES, "delete-records", "group-admin"], quick=False),
    ProgramSuite("confluent-kafka-javascript-callbacks", VERSION, program("callbacks.js"), CLIENT_CASES, quick=False),
    ProgramSuite("confluent-kafka-javascript-transactions", VERSION, program("transactions.js"), TRANSACTION_CASES, quick=False),
    group_suite("confluent-kafka-javascript-group", VERSION, program("member.js"), quick=False),
    group_suite("confluent-kafka-javascript-group-848", VERSION, program("member.js"), quick=False, protocol="consumer"),
]
