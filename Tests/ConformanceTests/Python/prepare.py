#!/usr/bin/env python3
"""Prepares a folder with the Python client `riak` 2.7.0 that runs on a current Python.

usage: prepare.py FOLDER      prints the interpreter to use; set PYTHONPATH to FOLDER/riak-2.7.0

Downloads the client and what it needs from PyPI into a virtual environment below FOLDER, and applies
the mechanical edits that a current Python asks for. Does nothing when that is done already.
"""
import pathlib
import re
import subprocess
import sys
import tarfile
import venv

CLIENT = "riak-2.7.0"
NEEDED = ["protobuf==3.20.3", "six", "basho_erlastic", "setuptools"]


def edit(path, *replacements):
    text = path.read_text()
    for pattern, replacement in replacements:
        text, count = re.subn(pattern, replacement, text, flags=re.MULTILINE)
        if count == 0:
            sys.exit(f"{path.name}: nothing matches {pattern}")
    path.write_text(text)


def abstract_base(match):
    """The import with its abstract base class taken from where it is now."""
    name = match[1] or match[2] or match[3]
    lines = [f"from collections.abc import {name}"]
    if not match[3]:
        lines.insert(0, "from collections import namedtuple")
    return "\n".join(lines)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1]).resolve()
    python = folder / "venv" / "bin" / "python"
    done = folder / "prepared"
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        venv.create(folder / "venv", with_pip=True)
        pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", *NEEDED], check=True)
        subprocess.run(
            [*pip, "download", "--no-deps", "--no-binary", ":all:",
             "--dest", str(folder), CLIENT.replace("-", "==")], check=True, stdout=subprocess.DEVNULL)
        with tarfile.open(folder / f"{CLIENT}.tar.gz") as archive:
            archive.extractall(folder)
        source = folder / CLIENT / "riak"
        for name in ("mapreduce.py", "util.py", "client/index_page.py", "datatypes/map.py",
                     "datatypes/register.py"):
            edit(source / name, (
                r"from collections import (?:namedtuple, (\w+)|(\w+), namedtuple|(\w+))$", abstract_base))
        edit(source / "datatypes" / "set.py",
             (r"^import collections$", "import collections.abc"),
             (r"collections\.(Set,|Iterable\))", r"collections.abc.\1"))
        edit(source / "codecs" / "__init__.py", (r",\s*verbose=False", ""))
        for path in (source / "pb").glob("*_pb2.py"):
            edit(path, (r"serialized_pb='", "serialized_pb=b'"),
                 (r"(_ParseOptions\([^']*, )'", r"\1b'"))
        done.touch()
    print(python)


main()
