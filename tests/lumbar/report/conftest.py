"""A real browser without a window, driven over a pipe; and records of studies to show in it."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lumbar.anatomy import AXIAL_T2, LEVELS, SAGITTAL_T2, TARGETS
from lumbar.predict.record import (
    MODELS,
    NEIGHBOUR,
    SHARES,
    AxialView,
    Records,
    SagittalView,
    SeriesNote,
    StudyRecord,
    write_record,
)

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


class Browser:
    """Chromium and the Chrome DevTools Protocol: JSON messages that end with a zero byte, on descriptors 3 and 4."""

    def __init__(self, binary: str, profile: Path) -> None:
        from_browser, to_us = os.pipe()
        from_us, to_browser = os.pipe()
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run",
                   f"--user-data-dir={profile}", "--force-color-profile=srgb", "about:blank"]  # fmt: skip
        shell = ["sh", "-c", f'exec "$0" "$@" 3<&{from_us} 4>&{to_us}', binary, *options]
        self.process = subprocess.Popen(
            shell, pass_fds=(from_us, to_us), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(from_us)
        os.close(to_us)
        self.input, self.output = os.fdopen(to_browser, "wb"), os.fdopen(from_browser, "rb")
        self.count, self.rest = 0, b""
        self.errors: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session: str | None = None
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and wait for its result."""
        self.count += 1
        message: dict[str, Any] = {"id": self.count, "method": method, "params": parameters}
        if getattr(self, "session", None):
            message["sessionId"] = self.session
        self.input.write(json.dumps(message).encode() + b"\0")
        self.input.flush()
        answer = self.wait_for(lambda reply: reply.get("id") == self.count)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Read messages until one is the wanted; collect the page's errors on the way."""
        while True:
            while b"\0" not in self.rest:
                content = os.read(self.output.fileno(), 1 << 20)
                assert content, "the browser ended"
                self.rest += content
            text, _, self.rest = self.rest.partition(b"\0")
            message = json.loads(text)
            if message.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.errors.append(text.decode())
            if message.get("method") == "Runtime.consoleAPICalled" and message["params"]["type"] in ("error", "assert"):
                self.errors.append(text.decode())
            if wanted(message):
                return message

    def open(self, path: Path, width: int = 1200, dark: bool = False) -> None:
        """Load a page as a screen of this width shows it."""
        self.errors.clear()
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=path.resolve().as_uri())
        self.wait_for(lambda message: message.get("method") == "Page.loadEventFired")

    def evaluate(self, script: str) -> Any:
        """Run a script in the page and return its value."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def screenshot(self, path: Path) -> None:
        """Save the whole page as a PNG."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def pdf(self) -> bytes:
        """Print the page on A4."""
        answer = self.call("Page.printToPDF", printBackground=True, paperWidth=8.27, paperHeight=11.69)
        return base64.b64decode(answer["data"])

    def close(self) -> None:
        """End the browser."""
        self.session = None
        self.call("Browser.close")
        self.process.wait(20)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A running browser; the test is skipped where none is installed."""
    binary = next(filter(None, map(shutil.which, NAMES)), None)
    if binary is None:
        pytest.skip("no Chromium or Chrome is installed")
    running = Browser(binary, tmp_path_factory.mktemp("profile"))
    yield running
    running.close()


def make_record(study_id: int, pictures: bool = True, **values: Any) -> StudyRecord:
    """A study with grades that are different everywhere."""
    rng = np.random.default_rng(study_id)
    sagittal = SagittalView(
        series_id=7,
        instance_number=3,
        kind=SAGITTAL_T2,
        spacing=(0.5, 0.5),
        confidence=0.9,
        points=np.column_stack([np.full(5, 60.0), np.linspace(20, 140, 5)]),
        image=rng.integers(0, 256, (160, 128), dtype=np.uint8),
    )
    axial = tuple(
        AxialView(
            level=level,
            series_id=8,
            instance_number=number,
            distance=0.4,
            slices=3,
            spacing=(0.5, 0.5),
            box=np.array([30, 40, 70, 80]),
            points=np.array([[60.0, 55.0], [40.0, 55.0]]),
            image=rng.integers(0, 256, (120, 120), dtype=np.uint8),
        )
        for number, level in enumerate(LEVELS)
    )
    standard: dict[str, Any] = {
        "study_id": study_id,
        "fingerprint": "",
        "probabilities": rng.dirichlet((1, 1, 1), len(TARGETS)),
        "source": (MODELS,) * 23 + (NEIGHBOUR, SHARES),
        "models": {},
        "series": (SeriesNote(7, SAGITTAL_T2, "described as T2", 15), SeriesNote(8, AXIAL_T2, "axial", 20),
                   SeriesNote(9, None, "coronal", 5)),
        "warnings": (),
        "sagittal": sagittal if pictures else None,
        "axial": axial if pictures else (),
    }  # fmt: skip
    return StudyRecord(**(standard | values))


@pytest.fixture
def write_records(tmp_path: Path) -> Callable[..., Records]:
    """``write_records(*records, notes=...)`` puts records on the disk as a prediction leaves them."""

    def write(*records: StudyRecord, notes: tuple[str, ...] = ()) -> Records:
        for record in records:
            write_record(tmp_path / "records", record)
        return Records(tmp_path / "records", [record.study_id for record in records], notes)

    return write
