"""A tab of a browser that keeps an eye on what it is shown."""

import re
from contextlib import contextmanager
from urllib.parse import urlsplit

from playwright.sync_api import expect

from processes import PATIENCE, ROOT

expect.set_options(timeout=PATIENCE * 1000)

CHROMIUM = "/usr/bin/chromium"
AXE = ROOT / "target/tools/console/node_modules/axe-core/axe.min.js"
SCREENSHOTS = ROOT / "target/console-screenshots"
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}

# what a page cannot be asked for afterwards
WATCH = """
window.violations = [];
addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sample}`));
window.shift = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shift += entry.value;
}).observe({type: "layout-shift", buffered: true});
"""


def launch(playwright, *args):
    """Debian's Chromium. Whoever runs this may be root, in a container with little
    shared memory, behind a proxy."""
    return playwright.chromium.launch(
        executable_path=CHROMIUM, headless=True, timeout=PATIENCE * 1000,
        args=["--no-sandbox", "--disable-dev-shm-usage", "--no-proxy-server", *args],
    )


class Tab:
    """A page of a console, in a context of its own."""

    def __init__(self, browser, origin, **options):
        self.origin = origin.rstrip("/")
        self.context = browser.new_context(**{"viewport": DESKTOP, "locale": "en-GB", **options})
        self.context.set_default_timeout(PATIENCE * 1000)
        self.context.add_init_script(WATCH)
        self.page = self.context.new_page()
        self.wrong = []
        self.allowed = []
        page = self.page
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.wrong.append(f"script: {error}"))
        page.on("dialog", self._dialog)
        self.context.on("request", self._request)

    def _said(self, message):
        if message.type in ("error", "warning"):
            self.wrong.append(f"{message.text} ({message.location['url']})")

    def _dialog(self, dialog):
        self.wrong.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _request(self, request):
        to = urlsplit(request.url)
        if f"{to.scheme}://{to.netloc}" != self.origin and to.scheme not in ("about", "blob"):
            self.wrong.append(f"asked elsewhere: {request.url}")

    def allow(self, pattern):
        """What a test provokes is not wrong."""
        self.allowed.append(pattern)

    def open(self, path):
        """Goes to a page of the console; the answer's status. Counts have come."""
        answer = self.page.goto(self.origin + path)
        self.settle()
        return answer.status

    def settle(self):
        """Waits for the counts, where a page has some."""
        self.page.wait_for_function(
            "() => { const it = document.querySelector('#counts');"
            " return !it || it.querySelector('.tops, .notice'); }"
        )

    def verify(self):
        """Nothing went wrong on the page that is shown, and none before it."""
        violations = self.page.evaluate("window.violations")
        wrong = [it for it in self.wrong if not any(re.search(one, it) for one in self.allowed)]
        assert not wrong and not violations, (self.page.url, wrong, violations)
        assert self.page.evaluate("window.harmed") is None, self.page.url

    # Event history

    def column(self, title):
        """The cells of a column, from the top."""
        titles = self.page.locator("thead th").all_text_contents()
        place = titles.index(title) + 1
        return self.page.locator(f"#events tr td:nth-child({place})")

    def ids(self):
        """The ids of the events shown."""
        return self.column("Event ID").all_inner_texts()

    def search(self):
        """Submits the form."""
        with self.page.expect_navigation():
            self.page.get_by_role("button", name="Search").click()
        self.settle()

    def follow(self, link):
        """Clicks a link that leads to another page."""
        with self.page.expect_navigation():
            link.click()
        self.settle()


@contextmanager
def tab(browser, origin, **options):
    """A tab, which is looked over at its end."""
    it = Tab(browser, origin, **options)
    try:
        yield it
        it.verify()
    finally:
        it.context.close()
