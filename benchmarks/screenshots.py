"""A report's page in, pictures of it out, as a person sees them: both themes, a run under the pointer, and a phone.

python benchmarks/screenshots.py page=runs/quickstart/report/report.html out=docs/report

Needs Chromium with chromedriver (Debian: chromium, chromium-driver) and selenium. Look at what it makes.
"""

from __future__ import annotations

import base64
import io
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains

LIMIT = 200_000  # bytes of a picture that is kept with the docs


def _open(page: Path) -> Any:
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    browser.get(page.resolve().as_uri())
    return browser


def _view(browser: Any, *, width: int, theme: str, phone: bool = False) -> None:
    """Sets window and theme, loads the page again and waits for its plots."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": phone}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    feature = {"name": "prefers-color-scheme", "value": theme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    browser.refresh()
    while not browser.execute_script("return document.documentElement.dataset.ready"):
        time.sleep(0.1)


def _shoot(browser: Any, file: Path, *, width: int, selector: str | None, height: int) -> None:
    """A part of the page, from the element on (or the top)."""
    script = "const e = document.querySelector(arguments[0]); return e.getBoundingClientRect().top + window.scrollY"
    top = browser.execute_script(script, selector) if selector else 0
    clip = {"x": 0, "y": top, "width": width, "height": height, "scale": 1}
    taken = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
    image = Image.open(io.BytesIO(base64.b64decode(taken["data"]))).convert("RGB")
    image.save(file, optimize=True)
    if file.stat().st_size > LIMIT:
        image.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(file, optimize=True)
    print(f"{file}: {file.stat().st_size // 1000} kB")


def _hover(browser: Any, group: str) -> None:
    points = browser.find_elements("css selector", f"{group} [data-plot=curves] path[aria-roledescription=point]")
    points = [p for p in points if (p.get_attribute("fill") or "").startswith("var(--vit")]
    point = max(points, key=lambda p: p.location["x"])
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", point)
    ActionChains(browser).move_to_element(point).click().perform()
    time.sleep(0.3)


def main() -> None:
    given = dict(word.split("=", 1) for word in sys.argv[1:])
    out = Path(given["out"])
    out.mkdir(parents=True, exist_ok=True)
    browser = _open(Path(given["page"]))
    try:
        last = browser.execute_script("return document.querySelectorAll('section').length") - 1
        group = f"#group-{last}"
        for theme in ("light", "dark"):
            _view(browser, width=900, theme=theme)
            if theme == "light":
                _shoot(browser, out / "overview.png", width=900, selector=None, height=940)
                _shoot(browser, out / "details.png", width=900, selector=f"{group} figure:nth-of-type(2)", height=1500)
            _hover(browser, group)
            _shoot(browser, out / f"{theme}.png", width=900, selector=group, height=1150)
        _view(browser, width=390, theme="light", phone=True)
        _shoot(browser, out / "phone.png", width=390, selector=group, height=1250)
    finally:
        browser.quit()


if __name__ == "__main__":
    main()
