"""What the book's playground needs beside its page: the networks, and what computes them.

ONNX Runtime for browsers is a package of npm's. Its files are too large to be kept here, so npm
gets them when the book is built, once, and they are kept in the book's folder.
"""

import base64
import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import asdict
from pathlib import Path

from course.model.exported import onnx_file
from course.model.models import ALL_SHIPPED, read_config

PACKAGE = "onnxruntime-web"
VERSION = "1.30.0"
SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
RUNTIME = (
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
    "ort.webgpu.min.mjs",  # this and the rest for graphics cards
    "ort-wasm-simd-threaded.asyncify.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
)
SECONDS = 300  # that npm may take

WITHOUT = """# Playground

This copy of the book was built without the playground, in which the model draws in your browser:
npm could not get the files that compute it. To have it, build the book again with `course book`
where npm is installed and reaches its registry. To play without it, there is [the
explorer](chapters/explorer.ipynb).
"""


def playground_files(cache: Path) -> dict[Path, bytes]:
    """What to put below _static/playground/: networks, their configurations, and ONNX Runtime.

    Args:
        cache: where what npm got is kept.

    Returns:
        nothing, if ONNX Runtime's files cannot be had; what is missing is printed.
    """
    folder = cache / f"{PACKAGE}-{VERSION}"
    if not all((folder / name).is_file() for name in RUNTIME):
        if why := fetch_runtime(folder):
            print(f"the book is built without its playground: {why}", flush=True)
            return {}
    files = {Path("ort", name): (folder / name).read_bytes() for name in RUNTIME}
    for model_file in ALL_SHIPPED:
        config = asdict(read_config(model_file))
        files[Path(f"{model_file.stem}.json")] = json.dumps(config, indent=1).encode()
        files[Path(f"{model_file.stem}.onnx")] = onnx_file(model_file).read_bytes()
    return files


def fetch_runtime(folder: Path) -> str | None:
    """Have npm fetch the package, and unpack what is needed; what went wrong, if anything did."""
    npm = shutil.which("npm")
    if npm is None:
        return f"npm, which gets {PACKAGE}, is not installed"
    with tempfile.TemporaryDirectory() as place:
        command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--pack-destination", place]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return f"npm did not get {PACKAGE} within {SECONDS} seconds"
        (archive, *_) = [*Path(place).glob("*.tgz"), None]
        if done.returncode or archive is None:
            words = [line for line in done.stderr.splitlines() if "error" in line.lower()]
            return f"npm cannot get {PACKAGE} {VERSION} ({(words or ['no reason given'])[0]})"
        digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if digest != SHA512:
            return f"what npm got as {PACKAGE} {VERSION} is not what the course knows by that name"
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as package:
            for name in RUNTIME:
                (folder / name).write_bytes(package.extractfile(f"package/dist/{name}").read())
    return None
