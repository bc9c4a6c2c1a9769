"""Chromium for the tests of the report's page, what they ask of it, and results that fill every plot.

A machine without it skips the tests that import this.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from synthetic import as_table, make_sweep

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
if not CHROMIUM or not DRIVER:
    pytest.skip("no Chromium with chromedriver (Debian: chromium, chromium-driver)", allow_module_level=True)
webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
from selenium.webdriver.chrome.service import Service  # noqa: E402

EVIL = 'net<script>alert("x")</script>'
DRAWN = "return document.documentElement.dataset.ready"
PLOT = "#group-{} [data-plot={}]"


def start() -> Any:
    options = webdriver.ChromeOptions()
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1100,900",
    ):
        options.add_argument(argument)
    options.binary_location = CHROMIUM
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=Service(DRIVER))


def wait(browser: Any, script: str, *values: Any) -> Any:
    """What the script returns as soon as that is true."""
    for _ in range(2400):  # two minutes: CI machines are busy
        if found := browser.execute_script(script, *values):
            return found
        time.sleep(0.05)
    raise AssertionError(f"never true: {script}")


def load(browser: Any, page: Path) -> None:
    browser.get_log("browser"), browser.get_log("performance")  # those of earlier pages
    browser.get(page.as_uri())
    wait(browser, DRAWN)


def points_of(colour: str, *, fitted: bool = True) -> str:
    """Where the main plot has a model's points: filled where they are fitted."""
    kind = f"[fill='var(--{colour})']" if fitted else f"[fill=transparent][stroke='var(--{colour})']"
    return f"{PLOT.format(0, 'curves')} path[aria-roledescription=point]{kind}"


def count(browser: Any, selector: str) -> int:
    return len(browser.find_elements("css selector", selector))


def choose(browser: Any, label: str, group: int = 0) -> None:
    """Clicks the control of this name and waits until its plot was drawn again."""
    script = """
        const [group, label] = arguments;
        const root = document.querySelector(`#group-${group}`);
        const before = root.querySelector("[data-plot=curves] svg");
        [...root.querySelectorAll(".controls label")].find((l) => l.textContent === label).click();
        window.before = before;"""
    browser.execute_script(script, group, label)
    wait(browser, f"return document.querySelector('#group-{group} [data-plot=curves] svg') !== window.before")
    wait(browser, "return ![...document.querySelectorAll('.stage')].some((s) => s.style.visibility)")


def texts(browser: Any, plot: str, group: int = 0) -> list[str]:
    script = "return [...document.querySelectorAll(arguments[0])].map((text) => text.textContent)"
    return browser.execute_script(script, f"{PLOT.format(group, plot)} svg text")


def complaints(browser: Any) -> list[str]:
    return [entry["message"] for entry in browser.get_log("browser")]


def table() -> pd.DataFrame:
    """Two localities, a ViT and two CNNs, costs that grow with the size, and a W&B page for every run."""
    rows = as_table([*make_sweep(locality=1), *make_sweep(locality=0)]).drop(columns="overrides")
    larger = rows[rows["family"] == "cnn"].assign(model=EVIL, num_params=270_000)
    larger = larger.assign(name="b" + larger["name"], test_error=0.93 * larger["test_error"])
    rows = pd.concat([rows, larger], ignore_index=True)
    flops = np.where(rows["family"] == "vit", 6e6, 5e6) * rows["seen_examples"]
    return rows.assign(
        train_flops=flops,
        train_seconds=flops / 2e9 * (1 + 0.1 * rows["seed"]),
        test_loss=2.6 * rows["test_error"],
        wandb_url="https://wandb.example/" + rows["name"],
    )
