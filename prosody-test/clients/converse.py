"""Converse.js 14 in Debian's Chromium. Nothing is loaded but its own files, and they from the disk."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from playwright.async_api import Browser, BrowserContext, Locator, Page, Route, expect
from rig.server import COMPONENT, PASSWORD, Server

from clients.client import PATIENCE, Client, Value

PACKAGE = Path(__file__).with_name("node_modules") / "converse.js"
SITE = "http://localhost"
PAGE = """<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8"><title>Converse</title>
    <link rel="stylesheet" href="/dist/converse.min.css">
    <script type="module" src="/dist/converse.min.js"></script>
  </head>
  <body class="reset">
    <script type="module">window.converse.initialize(%s)</script>
  </body>
</html>"""
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    # A page that comes from no address may not reach those of this machine.
    "--disable-features=LocalNetworkAccessChecks",
)


class Converse(Client):
    """See `Client`."""

    context: BrowserContext
    page: Page
    _chat: Locator

    def __init__(self, server: Server, user: str, directory: Path, browser: Browser) -> None:
        super().__init__(server, user, directory)
        self._browser = browser
        self._faults: list[str] = []
        self._settings = {
            "websocket_url": f"ws://127.0.0.1:{server.http_port}/xmpp-websocket",
            "view_mode": "fullscreen",
            "i18n": "en",
            "assets_path": "/dist/",
            "discover_connection_methods": False,
            "autocomplete_providers_url": "",
            "allow_adhoc_commands": True,
            "play_sounds": False,
        }

    async def start(self) -> None:
        self.context = await self._browser.new_context(viewport={"width": 1000, "height": 780})
        self.context.set_default_timeout(PATIENCE * 1000)
        self.page = await self.context.new_page()
        self.page.on("pageerror", lambda error: self._faults.append(str(error)))
        await self.page.route("**/*", self._serve)
        await self.page.goto(f"{SITE}/")
        await self.page.fill("input[name=jid]", f"{self.user}@{self.server.domain}")
        await self.page.fill("input[name=password]", PASSWORD)
        await self.page.press("input[name=password]", "Enter")
        await self.page.wait_for_selector("converse-roster .list-item")

    async def _serve(self, route: Route) -> None:
        """From the package; what is elsewhere (pictures of providers) is not there."""
        path = route.request.url.removeprefix(SITE).partition("?")[0]
        if path == "/":
            await route.fulfill(body=PAGE % json.dumps(self._settings), content_type="text/html")
        elif route.request.url.startswith(SITE) and (PACKAGE / path[1:]).is_file():
            await route.fulfill(path=PACKAGE / path[1:])
        else:
            await route.abort()

    async def stop(self) -> None:
        await self.context.close()

    async def faults(self) -> list[str]:
        return self._faults

    # -- commands

    async def list_commands(self) -> None:
        commands = self.page.locator("converse-adhoc-commands")
        if not await commands.is_visible():
            await self.page.click("a.show-client-info")
            await self.page.click(".modal .nav-link:has-text('Commands')")
        # A command whose form is open stays so; the next click on it would close that.
        opened = commands.locator("li:has(form) a[data-command-node]")
        if await opened.count():
            await opened.click()
        await commands.locator("input[name=jid]").fill(COMPONENT)
        await commands.locator("input[type=submit]").click()
        await commands.locator("a[data-command-node]").first.wait_for()

    async def execute(self, node: str) -> None:
        await self.page.click(f"converse-adhoc-commands a[data-command-node='{node}']")

    async def fill(self, values: Mapping[str, Value]) -> None:
        for label, value in values.items():
            begins = re.compile(rf"^\s*{re.escape(label)}")
            found = self.page.locator("converse-adhoc-commands li label", has_text=begins).locator("xpath=..")
            field = found.locator("input, select, textarea").first
            if isinstance(value, bool):
                await field.set_checked(value)
            elif await field.evaluate("field => field.tagName") == "SELECT":
                await field.select_option(value if isinstance(value, str) else list(value))
            else:
                await field.fill(value if isinstance(value, str) else "\n".join(value))

    async def submit(self) -> None:
        await self.page.click("converse-adhoc-commands li input[data-action=complete]")

    async def command_text(self) -> str:
        """Values of inputs too."""
        return str(await self.page.evaluate(_TEXT, "converse-adhoc-commands"))

    # -- chat

    async def open_chat(self, jid: str) -> None:
        contact = self.page.locator(f"converse-roster a[data-jid={json.dumps(jid)}]")
        if not await contact.count():
            await self.page.evaluate("jid => { location.hash = `#converse/chat?jid=${jid}` }", jid)
        await contact.first.click()  # a contact of several groups stands in each
        self._chat = self.page.locator(f"converse-chat[jid={json.dumps(jid)}]")
        await self._chat.locator("textarea").wait_for()

    async def say(self, line: str) -> None:
        textarea = self._chat.locator("textarea")
        await textarea.fill(line)
        await textarea.press("Enter")

    async def chat_text(self) -> str:
        return await self._chat.inner_text()

    # -- roster

    async def roster(self) -> None:
        if await self.page.locator(".modal.show").count():
            await self.page.click(".modal.show button:text-is('Close')")
            await expect(self.page.locator(".modal.show")).to_have_count(0)

    async def shown(self, contact: str) -> str:
        name = self.page.locator(f"converse-roster a[data-jid='{contact}'] .contact-name")
        found = re.search(r"contact-name--(\w+)", await name.get_attribute("class") or "")
        return found[1] if found else ""

    async def picture(self, path: Path) -> None:
        await self.page.evaluate(_SCROLL_TO_FORM)
        await self.page.screenshot(path=path)


_SCROLL_TO_FORM = """() => {
  const form = document.querySelector('converse-adhoc-commands li:has(form)');
  const body = form?.closest('.modal-body');
  if (body) body.scrollTop += form.getBoundingClientRect().top - body.getBoundingClientRect().top;
}"""
_TEXT = """selector => {
  const root = document.querySelector(selector);
  if (!root) return '';
  const typed = [...root.querySelectorAll('input:not([type=hidden]), select, textarea')].map(field => field.value);
  return [root.innerText, ...typed].join('\\n');
}"""
