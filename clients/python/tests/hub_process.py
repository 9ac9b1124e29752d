"""The real hub, as a process that can be killed and started again."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
from waits import PATIENCE, until


class HubProcess:
    def __init__(self) -> None:
        self._place = Path(tempfile.mkdtemp(prefix="gapless-python-"))
        self._log = self._place / "log"
        self._stores = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._client = httpx.Client(verify=False, timeout=PATIENCE, headers={"connection": "close"}, trust_env=False)
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, flags: Sequence[str] = (), new_store: bool = False) -> None:
        binary = os.environ.get("GAPLESS_BIN")
        assert binary, "GAPLESS_BIN names no binary"
        self._stores += new_store
        data = self._place / f"store-{self._stores}"
        access = [] if "--access-tokens" in flags else ["--open"]
        command = [binary, "serve", "--data", str(data), "--listen", f"127.0.0.1:{self.port}", "--shards", "1"]
        with self._log.open("wb") as log:
            process = subprocess.Popen(
                [*command, *access, *flags], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        self._process = process

        def listens() -> int:
            text = self._log.read_text(errors="replace")
            if process.poll() is not None:
                raise AssertionError(f"the hub has ended: {text}")
            found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", text)
            return int(found[1]) if found else 0

        self.port = until("the hub says where it listens", listens)
        until("the hub is ready", lambda: self.request("GET", "/readyz").is_success)

    def end(self, how: signal.Signals = signal.SIGKILL) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            try:
                process.wait(PATIENCE)
            finally:
                process.kill()
                process.wait()

    def remove(self) -> None:
        self.end()
        self._client.close()
        shutil.rmtree(self._place, ignore_errors=True)

    def request(
        self, method: str, path: str, body: Any = None, token: str | None = None, accept: str | None = None
    ) -> httpx.Response:
        """A request past the client that is tested."""
        headers: Mapping[str, str] = {
            **({"authorization": f"Bearer {token}"} if token else {}),
            **({"accept": accept} if accept else {}),
        }
        content = {"content": body} if isinstance(body, str) else {"json": body} if body is not None else {}
        return self._client.request(method, self.url + path, headers=headers, **content)
