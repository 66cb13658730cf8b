"""Chromium without a screen, as the machine has it."""

import shutil
from contextlib import asynccontextmanager

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@asynccontextmanager
async def chromium():
    from playwright.async_api import async_playwright

    async with async_playwright() as driver:
        # Containers have no user namespaces to build a sandbox of; the pages are ours.
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        await browser.close()


class Window:
    """A page that was let in, and everything that its console complained about."""

    def __init__(self, page):
        self.page = page
        page.set_default_timeout(5_000)
        self.complaints = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._hear)

    async def enter(self, link):
        await self.page.goto(link)
        await self.page.wait_for_selector("#status .dot.ok")
        return self

    def _hear(self, message):
        # That a server is gone is what some tests are about.
        if message.type == "error" and "ERR_CONNECTION" not in message.text:
            self.complaints.append(message.text)


@asynccontextmanager
async def window(browser, **options):
    context = await browser.new_context(
        viewport={"width": 1200, "height": 800} | options.pop("viewport", {}), **options
    )
    try:
        yield Window(await context.new_page())
    finally:
        await context.close()
