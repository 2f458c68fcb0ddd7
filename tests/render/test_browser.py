"""The report in a real browser: it loads, can be read in the light, in the dark and on paper, and zooms."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gdbtools.cli import main
from tests.places import ROOT

pytestmark = pytest.mark.slow

CAPTURES = ROOT / "fixtures/captures"
NAMES = ("access-flag", "osv-1131")
OVERLAPS = Path(__file__).with_name("overlaps.js").read_text()
WIDTHS = (800, 1400)
SECONDS = 120
"""What a browser does not take for anything, however busy the machine is."""


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("reports")
    for name in NAMES:
        words = ["report", "-s", str(CAPTURES / f"{name}.core"), "0xfc0000000", "-o", str(folder / f"{name}.html")]
        assert main(words) == 1, "there is a fault on it"
    return {name: folder / f"{name}.html" for name in NAMES}


Show = Callable[..., Any]


@pytest.fixture
def show(browser: Any, reports: dict[str, Path]) -> Iterator[Show]:
    """Open a report in a tab of its own; whatever the page complains of, or asks the network for, fails the test."""
    complaints: list[str] = []
    contexts: list[Any] = []

    def opened(name: str, width: int = 1400, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        context.set_default_timeout(1000 * SECONDS)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        requests: list[str] = []
        page.goto(reports[name].as_uri())
        assert requests == [reports[name].as_uri()], "the page is all there is"
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


@dataclass(frozen=True)
class Seen:
    """What a screenshot is like: how many colours there are in it, and how bright it is on the whole, 0 to 255."""

    colours: int
    brightness: float


MEASURE = """async (encoded) => {
  const image = new Image();
  image.src = "data:image/png;base64," + encoded;
  await image.decode();
  const context = document.createElement("canvas").getContext("2d");
  const { width, height } = Object.assign(context.canvas, { width: image.width, height: image.height });
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  const colours = new Set();
  let total = 0;
  for (let at = 0; at < data.length; at += 4) {
    colours.add((data[at] << 16) | (data[at + 1] << 8) | data[at + 2]);
    total += data[at] + data[at + 1] + data[at + 2];
  }
  return [colours.size, total / (data.length / 4) / 3];
}"""


@pytest.fixture
def seen(browser: Any) -> Iterator[Callable[[bytes], Seen]]:
    """Measure a screenshot, in a tab of its own: the browser can decode what it has made."""
    page = browser.new_page()
    page.set_default_timeout(1000 * SECONDS)
    yield lambda png: Seen(*page.evaluate(MEASURE, base64.b64encode(png).decode()))
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", NAMES)
def test_it_is_drawn_on_light_or_dark_paper_as_the_reader_likes(show: Show, seen, name: str, scheme: str) -> None:
    picture = seen(show(name, 800, color_scheme=scheme).screenshot())
    assert picture.colours > 100, "there is something on it"
    assert picture.brightness > 200 if scheme == "light" else picture.brightness < 70


def test_on_paper_it_is_light_whatever_the_screen_is_and_has_nothing_to_press(show: Show, seen) -> None:
    page = show("access-flag", color_scheme="dark")
    assert page.locator(".tools button").first.is_visible()
    page.emulate_media(media="print")
    assert seen(page.screenshot()).brightness > 200
    assert not page.locator(".tools button").first.is_visible()
    assert not page.locator("nav").is_visible()
    pdf = page.pdf(format="A4")
    assert pdf.startswith(b"%PDF")
    assert 2 <= pdf.count(b"/Type /Page\n") <= 12


@pytest.mark.parametrize("width", [480, *WIDTHS])
@pytest.mark.parametrize("name", NAMES)
def test_no_text_is_on_another_and_nothing_sticks_out(show: Show, name: str, width: int) -> None:
    page = show(name, width)
    assert page.evaluate(OVERLAPS) == []
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    assert page.evaluate(OVERLAPS) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_text_that_is_on_another_is_noticed(show: Show) -> None:
    page = show("access-flag", 800)
    page.evaluate("document.querySelector('.answer').style.marginBottom = '-2.5rem'")
    assert page.evaluate(OVERLAPS) != []


def the_bar(page: Any) -> Any:
    """The first bar that has something to zoom into."""
    return page.locator(".stretch:has(button) .bar").first


def shown(page: Any) -> tuple[int, int]:
    """The addresses that a bar says it shows."""
    ends = page.locator(".stretch:has(button) .ends").first.locator("code").all_inner_texts()
    return int(ends[0], 16), int(ends[1], 16)


def widest(page: Any) -> float:
    return float(the_bar(page).evaluate("bar => bar.querySelector('.bands').clientWidth / bar.clientWidth"))


def until(happens: Callable[[], bool]) -> None:
    """Wait for what a browser does in its own time."""
    deadline = time.monotonic() + SECONDS
    while not happens():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


@pytest.mark.parametrize("name", NAMES)
def test_keys_zoom_to_a_page_and_back(show: Show, name: str) -> None:
    page = show(name)
    whole = shown(page)
    the_bar(page).focus()
    for times in range(1, 4):
        page.keyboard.press("+")
        assert widest(page) == pytest.approx(2**times, rel=0.02)
    inner = shown(page)
    assert whole[0] < inner[0] < inner[1] < whole[1]
    assert inner[1] - inner[0] == pytest.approx((whole[1] - whole[0]) / 8, rel=0.02)
    page.keyboard.press("-")
    assert widest(page) == pytest.approx(4, rel=0.02)
    page.keyboard.press("0")
    assert (widest(page), shown(page)) == (1, whole)


def test_arrow_keys_pan_and_home_and_end_go_to_the_ends(show: Show) -> None:
    page = show("access-flag")
    whole = shown(page)
    the_bar(page).focus()
    for _ in range(4):
        page.keyboard.press("+")
    page.keyboard.press("End")
    assert shown(page)[1] == whole[1]
    assert shown(page)[0] > whole[0]
    page.keyboard.press("Home")
    assert shown(page)[0] == whole[0]
    assert shown(page)[1] < whole[1]
    page.keyboard.press("ArrowRight")
    until(lambda: shown(page)[0] > whole[0])


def test_buttons_zoom_and_can_be_reached_by_keyboard(show: Show) -> None:
    page = show("access-flag")
    the_bar(page).focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "zoom out"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert widest(page) == pytest.approx(2, rel=0.02)
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert widest(page) == 1


def test_a_double_click_brings_a_page_up_whose_edges_are_where_its_title_says(show: Show) -> None:
    """The smallest band of the bar becomes half as wide as the bar: what is shown then is twice what it holds."""
    page = show("access-flag")
    bands = the_bar(page).locator(".band")
    widths = bands.evaluate_all("found => found.map(band => band.offsetWidth)")
    smallest = widths.index(min(widths))
    title = bands.nth(smallest).get_attribute("title")
    first, last = (int(word.rstrip(","), 16) for word in (title.split()[0], title.split()[2]))
    bands.nth(smallest).dispatch_event("dblclick")
    begin, end = shown(page)
    assert begin < first < last < end
    assert end - begin + 1 == pytest.approx(2 * (last - first + 1), rel=0.05)


SAID_IN_THE_SAME_TASK = """bar => {
    const ends = () => [...bar.closest(".stretch").querySelectorAll(".ends code")].map(each => each.textContent);
    const press = key => bar.dispatchEvent(new KeyboardEvent("keydown", { key }));
    const widths = [...bar.querySelectorAll(".band")].map(band => band.offsetWidth);
    const smallest = bar.querySelectorAll(".band")[widths.indexOf(Math.min(...widths))];
    const zoom = () => smallest.dispatchEvent(new MouseEvent("dblclick", { bubbles: true }));
    const [first, , last] = smallest.title.split(/[ ,]+/);
    return [[first, last], ...[zoom, () => press("End"), () => press("Home")].map(act => { act(); return ends(); })];
}"""


def test_what_is_said_is_of_the_place_that_is_shown_before_the_browser_has_drawn_it(show: Show) -> None:
    """A scroll event comes with the next frame: in the task that moves a bar none has come."""
    page = show("access-flag")
    whole = shown(page)
    said = the_bar(page).evaluate(SAID_IN_THE_SAME_TASK)
    band, near, end, home = ([int(word, 16) for word in ends] for ends in said)
    page.wait_for_timeout(100)
    assert shown(page) == tuple(home)
    assert (home[0], end[1]) == whole
    assert near[0] < band[0] < band[1] < near[1]


def test_the_wheel_zooms_with_control_and_only_then(show: Show) -> None:
    page = show("access-flag")
    the_bar(page).scroll_into_view_if_needed()
    over(page)
    page.mouse.wheel(0, -1)
    assert widest(page) == 1
    page.keyboard.down("Control")
    over(page)
    page.mouse.wheel(0, -200)
    until(lambda: widest(page) > 1.5)


def over(page: Any) -> None:
    box = the_bar(page).bounding_box()
    page.mouse.move(box["x"] + 10, box["y"] + 10)


def test_without_scripts_all_but_the_zoom_is_there(show: Show) -> None:
    with_scripts, without = show("osv-1131"), show("osv-1131", java_script_enabled=False)
    for selector in (".band", ".rung", ".strip", "table", "dt"):
        assert without.locator(selector).count() == with_scripts.locator(selector).count() > 0
    assert without.locator("button").count() == 0
    assert without.locator(".size").first.inner_text() != ""


def test_each_kind_of_permission_can_be_told_in_the_legend_and_in_the_bands(show: Show) -> None:
    page = show("osv-1131")
    colour = "each => getComputedStyle(each).backgroundColor"
    legend = {
        item.inner_text().strip(): item.locator("i").evaluate(colour)
        for item in page.locator(".legend").first.locator("li").all()
        if item.locator("i:not(.shaded)").count()
    }
    assert len(set(legend.values())) == len(legend) >= 4
    for lane in page.locator(".band:not(.shaded) b").all()[:40]:
        assert lane.evaluate(colour) == legend[lane.locator("span").text_content()]
