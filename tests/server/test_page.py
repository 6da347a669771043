"""The page in a browser: what people do with it, on a large screen and on a phone."""

import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from bitcodes import server

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")

_DROP = """async (name) => {
    const data = await (await fetch(name)).blob();
    const transfer = new DataTransfer();
    transfer.items.add(new File([data], "mine.jpg", { type: "image/jpeg" }));
    document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true }));
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        try:
            browser = started.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        except playwright.Error as error:
            pytest.skip(f"there is neither a chromium nor that of Playwright: {error.message:.200}")
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(stored: Path) -> Iterator[str]:
    with server.start(stored, decisions=True) as running:
        yield running.url


@pytest.fixture
def page(browser: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A page, on which nothing may go wrong that the browser tells of."""
    context = browser.new_context(**getattr(request, "param", {}))
    page = context.new_page()
    page.set_default_timeout(20_000)
    wrong: list[str] = []
    page.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    yield page
    context.close()
    assert not wrong


def shown(page: Any) -> list[str]:
    """The paths of the images on the page, when it shows what its address says."""
    query = urlsplit(page.url).query
    query = json.dumps(f"?{query}" if query else "")
    page.locator(f"body[data-shown={query}]").wait_for(state="attached")
    paths: list[str] = page.locator("#results .path").all_inner_texts()
    return paths


def test_a_dropped_picture_is_searched_for_and_results_lead_on(page: Any, address: str) -> None:
    page.goto(address)
    assert shown(page)[:2] == ["cold/00.png", "cold/01.png"]
    page.evaluate(_DROP, "v1/images/13/thumbnail?size=large")
    page.wait_for_url("**/?code=*")
    results = shown(page)
    assert len(results) == 24
    assert page.locator(".query img").get_attribute("src").startswith("blob:")
    link = page.url

    page.locator("#results a").nth(5).click()
    page.wait_for_url("**/?path=*")
    assert shown(page)[0] == results[5]
    assert page.locator("#results .facts").first.inner_text().startswith("this image")
    page.go_back()
    page.wait_for_url(link)
    assert shown(page) == results

    other = page.context.new_page()  # who gets the link sees the same
    other.goto(link)
    assert shown(other) == results


def test_filters_and_the_radius_stand_in_the_address(page: Any, address: str) -> None:
    page.goto(f"{address}?path=warm/03.png")
    every = shown(page)
    page.get_by_label("Path").fill("*/0?.png")
    page.get_by_label("Path").press("Enter")
    page.wait_for_url("**filter=*")
    assert shown(page) == [path for path in every if path[5] == "0"]
    page.get_by_label("Label").select_option("0")
    page.wait_for_url("**label=0*")
    assert shown(page) == [path for path in every if path[:6] == "warm/0"]
    page.get_by_label("Distance").focus()
    page.get_by_label("Distance").press("Home")
    page.wait_for_url("**radius=0*")
    assert shown(page) == ["warm/03.png"]
    page.reload()
    assert shown(page) == ["warm/03.png"]


def test_duplicates_and_the_walk(page: Any, address: str) -> None:
    page.goto(address)
    page.get_by_role("link", name="Duplicates").click()
    page.wait_for_url("**tab=duplicates*")
    page.get_by_label("Distance").fill("6")
    page.wait_for_url("**radius=6*")
    assert shown(page)
    assert page.get_by_role("heading", name="Group 1").is_visible()
    page.get_by_role("link", name="Walk").click()
    page.wait_for_url("**tab=walk*")
    shown(page)
    clusters = page.locator(".clusters a")
    assert clusters.count() > 1
    clusters.first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**of=0*")
    assert shown(page)


def test_groups_are_filtered_and_decided(page: Any, address: str, stored: Path) -> None:
    file = stored.with_name("photos.decisions.tsv")
    page.goto(f"{address}?tab=duplicates&radius=8")
    every = shown(page)
    page.get_by_label("Label").select_option("0")
    page.wait_for_url("**label=0*")
    assert shown(page) and set(shown(page)) < set(every)
    page.goto(f"{address}?tab=duplicates&radius=8")
    group = page.locator(".group").first
    assert shown(page) == every
    paths = group.locator(".path").all_inner_texts()
    assert len(paths) > 2
    group.get_by_role("button", name=f"Keep: {paths[1]}").click()
    group.get_by_role("button", name=f"Not a duplicate: {paths[2]}").click()
    group.get_by_role("button", name="Save decision").click()
    group.get_by_text(f"Saved: {len(paths) - 2} duplicate").wait_for()
    kept = "\t".join([paths[1], paths[0], *paths[3:]])
    lines = [f"duplicate\t{kept}", f"different\t{paths[1]}\t{paths[2]}"]
    assert file.read_text().splitlines()[1:] == lines
    page.reload()
    assert shown(page)[0] == paths[1]
    group.get_by_role("button", name="Save decision").click()
    group.get_by_role("button", name="Undo").click()
    group.get_by_text("Not decided.").wait_for()
    assert file.read_text().splitlines()[-1].startswith(f"undecided\t{paths[1]}\t")
    file.unlink()


def test_results_can_be_ordered_by_features(page: Any, address: str) -> None:
    page.goto(f"{address}?path=warm/03.png")
    by_code = shown(page)
    page.get_by_label("Order").select_option("by features")
    page.wait_for_url("**rerank=true*")
    by_features = shown(page)
    assert by_features[0] == by_code[0] == "warm/03.png"
    assert sorted(by_features) == sorted(by_code) and by_features != by_code
    page.goto(f"{address}?code=000000")
    shown(page)
    assert page.get_by_label("Order").is_hidden()


_PHONE = {
    "viewport": {"width": 360, "height": 740},
    "is_mobile": True,
    "has_touch": True,
    "color_scheme": "dark",
}


@pytest.mark.parametrize("page", [_PHONE], ids=["phone"], indirect=True)
def test_a_phone_shows_everything_without_scrolling_sideways(page: Any, address: str) -> None:
    for query in ("", "?path=warm/03.png&radius=9", "?tab=duplicates&radius=6", "?tab=walk"):
        page.goto(address + query)
        shown(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.goto(address)
    assert page.get_by_text("Take a photo").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(19, 20, 22)"


def test_nothing_serious_hinders_readers_and_keyboards(
    page: Any, address: str, tmp_path: Path
) -> None:
    axe = _axe(tmp_path)
    for scheme, query in (
        ("light", ""),
        ("dark", "?path=warm/03.png"),
        ("light", "?tab=duplicates&radius=6"),
        ("dark", "?tab=walk"),
    ):
        page.emulate_media(color_scheme=scheme)
        page.goto(address + query)
        shown(page)
        page.evaluate(axe)
        found = page.evaluate("axe.run()")["violations"]
        serious = [one for one in found if one["impact"] in ("serious", "critical")]
        assert not [(one["id"], one["nodes"][0]["html"]) for one in serious], query


def _axe(folder: Path) -> str:
    """The source of axe-core, of the package registry."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not there to fetch axe-core")
    try:
        command = [npm, "pack", "axe-core@4", "--silent"]
        subprocess.run(command, cwd=folder, check=True, timeout=60, capture_output=True)
        with tarfile.open(next(folder.glob("axe-core-*.tgz"))) as archive:
            file = archive.extractfile("package/axe.min.js")
            assert file is not None
            return file.read().decode()
    except (subprocess.SubprocessError, StopIteration, OSError, KeyError) as error:
        pytest.skip(f"axe-core cannot be fetched: {error}")
