"""The page in a real Chromium: nothing fetched, no complaint, and every control does what it says."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from chromium import choose, complaints, count, load, points_of, start, table, texts, wait
from synthetic import as_table, make_sweep, started

from analysis.report import command as report


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    driver = start()
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    table().to_csv(folder / "t.csv", index=False)
    assert report.main([f"results={folder / 't.csv'}", f"out={folder / 'out'}", "figures=none"]) == 0
    return folder / "out" / "report.html"


@pytest.fixture
def shown(browser: Any, page: Path) -> Any:
    load(browser, page)
    return browser


def test_the_page_fetches_nothing_and_complains_of_nothing(shown: Any, page: Path) -> None:
    events = [json.loads(entry["message"])["message"] for entry in shown.get_log("performance")]
    asked = {e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"}
    assert {url for url in asked if not url.startswith("data:")} == {page.as_uri()}
    assert complaints(shown) == []
    assert shown.execute_script("return document.scripts.length") == 3  # no name became a script


def test_every_plot_is_drawn(shown: Any) -> None:
    script = """return [...document.querySelectorAll('.plot')].map(
        (plot) => [plot.dataset.plot ?? 'top', plot.querySelectorAll('svg').length])"""
    plots = shown.execute_script(script)
    assert all(drawn == 1 for _, drawn in plots)
    names = [name for name, _ in plots]
    # 2 small multiples and the knob, then per question the plots, and a grid for each of three models.
    assert {n: names.count(n) for n in names} == {
        "top": 3, "curves": 2, "gap": 2, "residuals": 2, "grid": 6, "parameters": 2,
    }  # fmt: skip


def test_families_models_and_other_runs_can_be_switched_off(shown: Any) -> None:
    def points() -> list[int]:
        return [count(shown, points_of(name)) for name in ("vit-0", "cnn-0", "cnn-1")]

    assert points() == [12, 12, 12]  # 6 sizes of 2 seeds
    choose(shown, "all CNNs")
    assert points() == [12, 0, 0]
    choose(shown, "resnet8")
    assert sum(points()) == 24
    choose(shown, "vit_small")
    assert points()[0] == 0
    choose(shown, "vit_small")
    hollow = points_of("vit-0", fitted=False)
    assert count(shown, hollow) == 8  # 4 other rates at 2 sizes
    choose(shown, "runs of other learning rates")
    assert count(shown, hollow) == 0
    assert points()[0] == 12
    assert complaints(shown) == []


def test_axes_and_scales_can_be_chosen(shown: Any) -> None:
    assert {"test error", "training images n", "500"} <= set(texts(shown, "curves"))
    assert "0" not in texts(shown, "curves")
    for label, title in (("FLOPs", "training FLOPs"), ("seconds", "training seconds"), ("loss", "test loss (nats)")):
        choose(shown, label)
        assert title in texts(shown, "curves")
    assert "ViT loss / CNN loss" in texts(shown, "gap")
    note = shown.execute_script("return document.querySelector('#group-0 .note').textContent")
    assert note.startswith("In test loss (nats) against training seconds, the curves alone: ")
    choose(shown, "data")
    choose(shown, "linear")  # the first of the two: across
    assert "0" in texts(shown, "curves")
    assert "test error" in texts(shown, "curves", group=1)  # the other question's plot is its own
    assert complaints(shown) == []


def _hover(browser: Any, element: Any) -> str:
    from selenium.webdriver.common.action_chains import ActionChains

    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    ActionChains(browser).move_to_element(element).perform()
    return wait(browser, "const tip = document.querySelector('.tip'); return tip.hidden ? '' : tip.innerText")


def test_hovering_gives_the_run(shown: Any) -> None:
    points = shown.find_elements("css selector", points_of("vit-0"))
    said = _hover(shown, points[-1])
    found = re.search(
        r"vit_small\n([\d,]+) training images\nseed (\d+), subset 0, learning rate ([\d.]+)\ntest error ([\d.]+)", said
    )
    assert found, said
    rows = table()
    row = rows[
        (rows["model"] == "vit_small")
        & (rows["locality"] == 1)
        & (rows["train_size"] == int(found[1].replace(",", "")))
        & (rows["seed"] == int(found[2]))
        & (rows["lr"] == float(found[3]))
    ]
    assert len(row) == 1
    assert float(found[4]) == pytest.approx(row["test_error"].iloc[0], rel=0.006)
    link = shown.find_element("css selector", ".tip a")
    assert link.get_attribute("href") == row["wandb_url"].iloc[0]
    _hover(shown, link)  # the tip stays while the pointer is on it
    time.sleep(0.4)
    assert not shown.execute_script("return document.querySelector('.tip').hidden")


def test_a_click_keeps_the_run_and_escape_lets_it_go(shown: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    point = shown.find_element(
        "css selector", "#group-1 [data-plot=curves] path[fill='var(--cnn-0)'][aria-roledescription=point]"
    )
    _hover(shown, point)
    ActionChains(shown).click(point).move_by_offset(0, 200).perform()
    time.sleep(0.4)
    assert not shown.execute_script("return document.querySelector('.tip').hidden")
    ActionChains(shown).send_keys("\ue00c").perform()
    assert shown.execute_script("return document.querySelector('.tip').hidden")


COLOURS = """const label = document.querySelector('#group-0 [data-plot=curves] svg text');
    return [getComputedStyle(document.body).backgroundColor, getComputedStyle(label).fill]"""


def _emulate(browser: Any, *, scheme: str, media: str = "screen") -> None:
    values = {"media": media, "features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", values)


def _lightness(colour: str) -> float:
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3


def test_both_themes_and_paper(shown: Any) -> None:
    try:
        for scheme, dark in (("light", False), ("dark", True)):
            _emulate(shown, scheme=scheme)
            ground, text = map(_lightness, shown.execute_script(COLOURS))
            assert (ground < 60 and text > 120) if dark else (ground > 240 and text < 140)
        shown.execute_script("document.querySelector('.theme').click()")  # the button overrules the system
        assert _lightness(shown.execute_script(COLOURS)[0]) > 240
        shown.execute_script("document.querySelector('.theme').click()")
        _emulate(shown, scheme="dark", media="print")
        ground, text = map(_lightness, shown.execute_script(COLOURS))
        assert ground > 240
        assert text < 140
        hidden = "return getComputedStyle(document.querySelector('.controls')).display"
        assert shown.execute_script(hidden) == "none"
    finally:
        _emulate(shown, scheme="light")


def test_nothing_sticks_out_of_a_phone(browser: Any, page: Path) -> None:
    metrics = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        load(browser, page)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
        ends = """return [...document.querySelectorAll('.plot svg')].map((svg) => svg.getBoundingClientRect().right)"""
        assert max(browser.execute_script(ends)) <= 390
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def _thin(name: str) -> pd.DataFrame:
    rows = as_table(make_sweep()).drop(columns="overrides")
    plain = rows[rows["lr"] == rows.groupby("model")["lr"].transform("median")]
    metrics = ["train_error", "val_error", "test_error", "test_loss"]
    return {
        "one size": rows[rows["train_size"] == 128],
        "one family": rows[rows["family"] == "vit"],
        "all failed": rows.assign(status="failed", error_text="<b>boom</b>", **dict.fromkeys(metrics)),
        "no val_error": plain.drop(columns="val_error"),
        "foreign": plain[["family", "model", "train_size", "test_error"]],
        "no errors left": rows.assign(test_error=rows["test_error"].where(rows["train_size"] < 4096, 0.0)),
    }[name]


@pytest.mark.parametrize("name", ["one size", "one family", "all failed", "no val_error", "foreign", "no errors left"])
def test_thin_and_odd_results_make_a_page(name: str, browser: Any, tmp_path: Path) -> None:
    _thin(name).to_csv(tmp_path / "t.csv", index=False)
    assert report.main([f"results={tmp_path / 't.csv'}", f"out={tmp_path}", "figures=none"]) == 0
    load(browser, tmp_path / "report.html")
    assert complaints(browser) == []
    assert browser.execute_script("return document.querySelector('.verdict').textContent.length") > 30
    assert browser.execute_script("return document.querySelectorAll('[data-plot=curves] svg').length") == 1


def test_untrained_starts_are_a_line_of_their_own(browser: Any, tmp_path: Path) -> None:
    """They have no place on an axis of pre-training sizes; one that is switched off goes, too."""
    rows = started("pretrain_size", train_size=100, adapt="probe", strength=1.0)
    zero = rows[rows["pretrain_size"] == 100].assign(pretrain_size=0, test_error=0.8)
    pd.concat([rows, zero]).to_csv(tmp_path / "t.csv", index=False)
    words = [f"results={tmp_path / 't.csv'}", f"out={tmp_path}", "figures=none", "axis=pretrain_size"]
    assert report.main(words) == 0
    load(browser, tmp_path / "report.html")
    assert complaints(browser) == []
    named = [text for text in texts(browser, "curves") if text.endswith(", untrained")]
    assert sorted(named) == ["deit_s, untrained", "resnet50, untrained"]
    assert "pre-training images" in texts(browser, "curves")
    choose(browser, "deit_s")
    assert [text for text in texts(browser, "curves") if text.endswith(", untrained")] == ["resnet50, untrained"]
