"""Reading from a bucket: tensorstore's own client, and a server on this machine in place of Cloud Storage."""

import http.server
import json
import os
import subprocess
import sys
import threading
import urllib.parse
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[1] / "golden" / "t5x_checkpoint_tiny"


class Bucket(http.server.BaseHTTPRequestHandler):
    """Serves the files below GOLDEN as buckets; `unlisted` may not be listed, `private` not even be read."""

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if url.path == "/storage/v1/b/public/o":
            low, high = query.get("startOffset", ""), query.get("endOffset", "\x7f")
            files = (str(path.relative_to(GOLDEN)) for path in GOLDEN.rglob("*") if path.is_file())
            items = [{"name": name, "generation": "1"} for name in sorted(files) if low <= name < high]
            return self.answer(200, json.dumps({"items": items}).encode())
        if url.path.startswith("/storage/v1/b/private/") or url.path == "/storage/v1/b/unlisted/o":
            return self.answer(403, b"{}")
        file = GOLDEN / urllib.parse.unquote(url.path.split("/o/")[-1])
        return self.answer(200, file.read_bytes()) if file.is_file() else self.answer(404, b"{}")

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("x-goog-generation", "1")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def run_with_bucket():
    """Runs a program whose Cloud Storage is the server; a process, since tensorstore reads variables once."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bucket)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"127.0.0.1:{server.server_port}"
    environment = os.environ | {
        "TENSORSTORE_GCS_HTTP_URL": f"http://{address}",
        "GCE_METADATA_ROOT": address,
        "GOOGLE_APPLICATION_CREDENTIALS": "",
        "NO_PROXY": "127.0.0.1",
    }
    yield lambda program: subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    server.shutdown()
    server.server_close()


def test_a_checkpoint_in_a_bucket_equals_its_local_copy(run_with_bucket):
    run_with_bucket(f"""
import numpy as np
from mt3x.checkpoints import flatten, load_checkpoint, read_config
local = flatten(load_checkpoint({str(GOLDEN)!r}).params)
loaded = load_checkpoint("gs://public/")
assert str(loaded.found.folder) == "gs://public/checkpoint_3" and loaded.step == 3
assert read_config(loaded.found) is None
remote = flatten(loaded.params)
assert remote.keys() == local.keys() and all(np.array_equal(remote[name], local[name]) for name in local)
""")


def test_a_checkpoint_is_read_where_its_bucket_may_not_be_listed(run_with_bucket):
    run_with_bucket("""
from mt3x.checkpoints import load_checkpoint
assert load_checkpoint("gs://unlisted/checkpoint_3").step == 3
""")


def test_mistaken_bucket_paths_are_named(run_with_bucket):
    run_with_bucket("""
import pytest
from mt3x.checkpoints import CheckpointError, find_checkpoint
for path, complaint in {
    "gs://public/checkpoint_4": "no such folder",
    "gs://public/checkpoint_3/target.decoder.decoder_norm.scale": "one array of a checkpoint",
    "gs://private/model": "gs://private/model: .*(PERMISSION_DENIED|403)",
}.items():
    with pytest.raises(CheckpointError, match=complaint):
        find_checkpoint(path)
""")
