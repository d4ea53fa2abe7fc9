"""The pages in a browser, with light and dark colours, and on a narrow screen."""

from __future__ import annotations

import os
from base64 import b64decode
from pathlib import Path

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.files.base import ContentFile
from django.core.handlers.wsgi import WSGIHandler
from django.db import connections

from tests.browser import open_browser, start_site, wait
from tests.grid.shares import lose_on
from tests.needs import CHROMIUM, GRID, TIME, needs
from tests.tahoestorage.gridpage.case import GRID_PAGE, AdminTestCase, node
from txtahoe.maintenance import renew, take_snapshot

# For each text: the text, and the contrast of its colour to the colour behind it.
_CONTRASTS = """
const shade = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
const pixel = color => {
  shade.clearRect(0, 0, 1, 1);
  shade.fillStyle = color;
  shade.fillRect(0, 0, 1, 1);
  return shade.getImageData(0, 0, 1, 1).data;
};
const luminance = color => {
  const [r, g, b] = [...pixel(color)].slice(0, 3).map(value => {
    value /= 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = element => {
  const box = element.closest("svg g")?.querySelector("rect");
  if (box) return getComputedStyle(box).fill;
  for (let each = element; each; each = each.parentElement) {
    const color = getComputedStyle(each).backgroundColor;
    if (pixel(color)[3] === 255) return color;
  }
};
const texts = document.createTreeWalker(document.querySelector("#content"), NodeFilter.SHOW_TEXT);
const found = [];
while (texts.nextNode()) {
  const element = texts.currentNode.parentElement;
  if (!texts.currentNode.data.trim() || !element.getClientRects().length) continue;
  const style = getComputedStyle(element);
  const color = element.closest("svg") ? style.fill : style.color;
  const [dark, light] = [luminance(color), luminance(behind(element))].sort((a, b) => a - b);
  found.push([texts.currentNode.data.trim(), (light + 0.05) / (dark + 0.05)]);
}
return found;
"""
# A list of obstacles for people who do not see the page.
_OBSTACLES = """
const all = selector => [...document.querySelectorAll(`#content ${selector}`)];
const levels = all(":is(h1, h2, h3, h4)").map(heading => Number(heading.tagName[1]));
const named = element => {
  const ids = (element.getAttribute("aria-labelledby") || "").split(" ");
  return ids.map(id => document.getElementById(id)?.textContent.trim() || "").join(" ").trim();
};
const ids = [...document.querySelectorAll("[id]")].map(element => element.id);
return [
  ...levels.filter((level, i) => level > (levels[i - 1] || 0) + 1).map(level => `h${level} skips`),
  ...all("th:not([scope])").map(cell => `th without scope: ${cell.textContent}`),
  ...all("svg:not([aria-hidden])").filter(svg => !named(svg) || svg.getAttribute("role") !== "img")
    .map(svg => `svg without a name: ${svg.outerHTML}`),
  ...all("[role=region], section").filter(part => !named(part)).map(part => "part without a name"),
  ...all("[role=region]").filter(part => part.tabIndex !== 0).map(part => "part out of reach"),
  ...all(":is(a, button)").filter(each => !each.textContent.trim()).map(each => "link to nothing"),
  ...all("[style]").map(each => `inline style: ${each.outerHTML}`),
  ...all("script").map(each => "script"),
  ...ids.filter((id, i) => ids.indexOf(id) !== i).map(id => `two elements are called ${id}`),
];
"""


# Colours and width.
_WAYS = (("light", 1280), ("dark", 1280), ("light", 400))


@needs(GRID, CHROMIUM, TIME)
class BrowserTests(AdminTestCase):
    def setUp(self) -> None:
        super().setUp()
        connection = connections["default"]
        connection.inc_thread_sharing()
        self.addCleanup(connection.dec_thread_sharing)
        site = StaticFilesHandler(WSGIHandler())
        self.url = start_site(self, site, connections_override={"default": connection})
        self.chrome = open_browser(self)
        self.chrome.get(f"{self.url}/static/tahoestorage/admin.css")
        session = self.browser.cookies["sessionid"].value
        self.chrome.add_cookie({"name": "sessionid", "value": session})
        self.shots = Path(os.environ.get("TAHOE_SCREENSHOTS") or self.mktemp())
        self.shots.mkdir(parents=True, exist_ok=True)
        files = [(f"documents/{n}/report.pdf", ContentFile(os.urandom(30_000))) for n in (1, 2)]
        files += [("photos/sea.jpg", ContentFile(os.urandom(90_000)))]
        files += [("photos/sky.jpg", ContentFile(b"blue")), ("robots.txt", ContentFile(b"all"))]
        self.storage.save_many(files)
        self.whole.run(lambda tree, _: take_snapshot(tree))
        self.whole.run(lambda tree, _: renew(tree))
        self.keep_check()

    def test_everybody_can_read_the_pages(self) -> None:
        # In one test, because the browser and the grid start slowly.
        self.see_a_healthy_grid()
        self.see_a_server_down()
        self.see_an_unhealthy_file()

    def see_a_healthy_grid(self) -> None:
        self.look(GRID_PAGE, "healthy")
        self.assertIn("Everything was healthy", self.text())
        self.assertNotIn("✗", self.text())
        self.look(node("documents"), "directory")
        self.follow("1/")
        self.follow("report.pdf")
        self.assertIn("Healthy: 3 of 3 shares", self.text())

    def see_a_server_down(self) -> None:
        server = self.grid.servers[2]
        server.stop()
        try:
            self.grid.wait_ready()
            self.look(GRID_PAGE, "server-down")
            self.assertIn("✗ not connected", self.text())
            self.look(node("photos/sea.jpg"), "server-down-file")
            self.assertIn("✗ did not answer", self.text())
        finally:
            server.start()
            self.grid.wait_ready()

    def see_an_unhealthy_file(self) -> None:
        lose_on(self.grid.servers[1], self.cap_of("photos/sea.jpg"))
        self.keep_check()
        self.look(GRID_PAGE, "unhealthy")
        self.follow("photos/sea.jpg")
        self.assertIn("not healthy: 2 of 3 shares", self.text())
        self.look(node("photos/sea.jpg"), "unhealthy-file")
        self.press("css selector", "button[value=repair]")
        self.assertIn("Healthy: 3 of 3 shares", self.text())
        self.assertIn("Before the repair: 2 of 3", self.text())
        self.keep_picture("repaired-file", 400)

    def look(self, address: str, name: str) -> None:
        """Open a page in all ways, require that it is readable, and keep its pictures."""
        for colours, width in _WAYS:
            self.emulate(colours, width)
            self.chrome.get(self.url + address)
            self.keep_picture(f"{name}-{colours}-{width}", width)
            texts = self.chrome.execute_script(_CONTRASTS)
            faint = [(text, contrast) for text, contrast in texts if contrast < 4.5]
            self.assertEqual(faint, [], f"{address} in {colours}")
            self.assertGreater(len(texts), 20)
            self.assertEqual(self.chrome.execute_script(_OBSTACLES), [], address)
            # Wide tables scroll, and not the page.
            widest = self.chrome.execute_script("return document.body.scrollWidth")
            self.assertLessEqual(widest, width, address)

    def emulate(self, colours: str, width: int) -> None:
        features = [{"name": "prefers-color-scheme", "value": colours}]
        self.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def keep_picture(self, name: str, width: int) -> None:
        """Keep a picture of the whole page."""
        top = "document.querySelector('#main').getBoundingClientRect().bottom"
        height = self.chrome.execute_script(f"return {top}")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        options = {"captureBeyondViewport": True, "clip": clip}
        picture = self.chrome.execute_cdp_cmd("Page.captureScreenshot", options)
        (self.shots / f"{name}.png").write_bytes(b64decode(picture["data"]))

    def follow(self, text: str) -> None:
        self.press("link text", text)

    def press(self, by: str, what: str) -> None:
        """Click, and wait for the next page."""
        from selenium.webdriver.support.expected_conditions import staleness_of

        page = self.chrome.find_element("tag name", "html")
        self.chrome.find_element(by, what).click()
        wait(self.chrome, staleness_of(page))

    def text(self) -> str:
        return " ".join(self.chrome.find_element("id", "content-start").text.split())
