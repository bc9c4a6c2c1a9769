"""Whether W&B can be used: a key, a service that answers, room on the disk. Every question has a time limit.

Run as a program it asks the service once, through the client (which knows proxies, certificates and where keys lie):
python -m scaling.tracking.service
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from scaling.records.files import last_line

LEAST_FREE = 20 * 2**20  # bytes that must be free for a run to be logged at all
BYTES_A_RUN = 100_000  # of an offline run's files: 52 kB were seen for 50 points
GONE_FILE = Path("wandb") / "service-gone"  # below a sweep's folder: stay offline for the rest of that sweep
UNDELIVERED_FILE = Path("wandb") / "undelivered"  # names of online runs whose end did not reach the service
_TIME_LIMIT = 6  # seconds that the service has to answer
_WHOLE_LIMIT = 60.0  # and the process that asks it to start and end, which takes 1.5 s on an idle core


def quiet_environment() -> None:
    """What the client reads from the environment: no lines of its own beside ours, unless asked for, and no reports
    about itself, which hang where nothing answers."""
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return folder


def free_bytes(folder: Path) -> int:
    return shutil.disk_usage(existing(folder.absolute())).free


def is_listening(seconds: float = 2.0) -> bool:
    """Whether the service's port takes connections; taken on trust where a proxy is between."""
    import wandb

    address = urlsplit(wandb.setup().settings.base_url)
    if address.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(address.hostname or ""):
        return True
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        socket.create_connection((address.hostname or "", port), timeout=seconds).close()
    except OSError:
        return False
    return True


def ask_service() -> str | None:
    """What is in the way of logging online, in one line; None if nothing is. Takes under ten seconds on an idle core.

    It asks in a process of its own, so that the client's threads and retries end with it.
    """
    command = [sys.executable, "-m", "scaling.tracking.service"]
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_WHOLE_LIMIT, env=os.environ | {"PYTHONPATH": path}
        )
    except subprocess.TimeoutExpired:
        return f"the W&B client did not come to an end within {_WHOLE_LIMIT:g} s"
    try:
        found = json.loads(done.stdout.strip().splitlines()[-1])["problem"]
    except (IndexError, ValueError, KeyError, TypeError):
        last = last_line(done.stderr)
        return f"the W&B client does not start ({last})"
    return None if found is None else str(found)


def _problem() -> str | None:
    quiet_environment()
    import wandb

    address = wandb.setup().settings.base_url
    if not wandb.login(prompt=False, verify=False):
        return "W&B needs a key: set WANDB_API_KEY or run `wandb login`"
    if not is_listening():
        return f"{address} cannot be reached: check the network and WANDB_BASE_URL"
    try:
        wandb.Api(timeout=_TIME_LIMIT)  # asks who the key belongs to
    except Exception as error:
        text = " ".join(str(error).split())
        if any(word in text for word in ("error 401", "error 403", "not logged in", "API key")):
            return f"{address} does not accept the key: check WANDB_API_KEY or run `wandb login --relogin`"
        return f"{address} does not answer as W&B does ({text})"
    return None


if __name__ == "__main__":
    print(json.dumps({"problem": _problem()}), flush=True)
    os._exit(0)  # the client's own ending waits for a service that may not be there
