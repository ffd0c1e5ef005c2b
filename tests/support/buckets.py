"""Storage servers for tests: LocalStack, which checks what S3 does, and Azurite.

tests/servers installs them. Where they are elsewhere, `DBQUEUE_TEST_LOCALSTACK` names
the Python of an environment with LocalStack, `DBQUEUE_TEST_NODE_MODULES` a folder with
Azurite.
"""

import base64
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from tests.browser.test_photo import _free_port
from tests.support.processes import PATIENCE, ROOT, WorkerProcess

SERVERS = ROOT / ".servers"
LOCALSTACK = Path(
    os.environ.get("DBQUEUE_TEST_LOCALSTACK") or SERVERS / "localstack/bin/python"
)
NO_LOCALSTACK = (
    "NO S3 SERVER HERE: run tests/servers, or name in DBQUEUE_TEST_LOCALSTACK the "
    "Python of an environment with LocalStack"
)
NODE_MODULES = Path(
    os.environ.get("DBQUEUE_TEST_NODE_MODULES") or SERVERS / "node_modules"
)
AZURITE = NODE_MODULES / "azurite" / "dist" / "src" / "blob" / "main.js"
NO_AZURITE = (
    "NO AZURE SERVER HERE: run tests/servers, or npm install azurite and name its "
    "folder node_modules in DBQUEUE_TEST_NODE_MODULES"
)

S3_ONLY = {
    "SERVICES": "s3",
    "STRICT_SERVICE_LOADING": "1",
    "S3_SKIP_SIGNATURE_VALIDATION": "0",
    "SKIP_SSL_CERT_DOWNLOAD": "1",
    "DISABLE_EVENTS": "1",
    "DNS_ADDRESS": "0",
}
KEYS = {"access_key": "test", "secret_key": "test", "region_name": "us-east-1"}


@contextmanager
def localstack(folder):
    """Give the address of an S3 server."""
    if not LOCALSTACK.exists():
        pytest.skip(NO_LOCALSTACK)
    address = f"127.0.0.1:{_free_port()}"
    of_django = ("DJANGO", "DATABASE", "PYTHONPATH")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(of_django)}
    own = {"GATEWAY_LISTEN": address, "LOCALSTACK_VOLUME_DIR": str(folder / "volume")}
    environment = {**inherited, **S3_ONLY, **own}
    command = [LOCALSTACK, "-m", "localstack.runtime.main"]
    with _running(command, environment, folder / "localstack.log", "Ready."):
        yield f"http://{address}"


@contextmanager
def azurite(folder):
    """Give the connection string of an Azure server."""
    if not (AZURITE.exists() and shutil.which("node")):
        pytest.skip(NO_AZURITE)
    port, key = _free_port(), base64.b64encode(b"of the tests").decode()
    options = ("--blobPort", port, "--location", folder, "--skipApiVersionCheck")
    words = [shutil.which("node"), AZURITE, *options, "--disableTelemetry", "--silent"]
    environment = {**os.environ, "AZURITE_ACCOUNTS": f"films:{key}"}
    with _running(words, environment, folder / "azurite.log", "successfully listens"):
        yield (
            f"DefaultEndpointsProtocol=http;AccountName=films;AccountKey={key};"
            f"BlobEndpoint=http://127.0.0.1:{port}/films;"
        )


@contextmanager
def _running(command, environment, log, ready):
    process = WorkerProcess(command, environment, log)
    try:
        process.wait_for_output(ready, 4 * PATIENCE)
        yield process
    finally:
        process.kill_all()


def ask(method, address, body=None, **headers):
    """Return the status and the headers of an answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = Request(address, body, named, method=method)
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=60) as answer:
            return answer.status, answer.headers
    except HTTPError as error:
        return error.code, error.headers


def post(told, content, **changed):
    """Send a file by a form, as a browser does; return the status."""
    fields = {**told["fields"], **changed}
    start = '--x\r\nContent-Disposition: form-data; name="'
    text = "".join(
        f'{start}{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
    )
    text += f'{start}file"; filename="a"\r\n\r\n'
    body = text.encode() + content + b"\r\n--x--\r\n"
    kind = "multipart/form-data; boundary=x"
    return ask("POST", told["url"], body, Content_Type=kind)[0]
