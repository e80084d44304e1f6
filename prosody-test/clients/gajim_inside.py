"""Debian's Gajim 1.7.3 with a ready account, and a socket by which a test uses its windows. Run by Debian's Python, not by the tests'.

usage: gajim_inside.py DIRECTORY USER DOMAIN PASSWORD PORT

DIRECTORY holds Gajim's settings and the socket, `control`: a connection sends one JSON list, [verb, arguments …], and gets
{"result": …} or {"error": traceback}. The verbs are the functions of `VERBS`, run in the GTK main loop.
"""

import json
import os
import queue
import socket
import sqlite3
import sys
import threading
import traceback
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DIRECTORY, USER, DOMAIN, PASSWORD, PORT = sys.argv[1:]


def write_settings(folder: Path) -> None:
    """As Gajim 1.7 keeps them."""
    folder.mkdir()
    account = {
        "name": USER,
        "account_label": USER,
        "hostname": DOMAIN,
        "password": PASSWORD,
        "savepass": True,
        "active": True,
        "autoconnect": True,
        "resource": "gajim",
        "use_custom_host": True,
        "custom_host": "127.0.0.1",
        "custom_port": int(PORT),
        "custom_type": "PLAIN",
        "use_plain_connection": True,
        "confirm_unencrypted_connection": False,
        "last_status": "online",
    }
    general = {
        "use_keyring": False,
        "check_for_update": False,
        "plugins_update_check": False,
        "sounds_on": False,
        "show_notifications": False,
        "show_help_start_chat": False,
        "is_window_visible": True,
        # A screen that nobody touches is idle.
        "autoaway": False,
        "autoxa": False,
    }
    workspace = {"name": "Main", "color": "rgb(80,120,200)", "avatar_sha": "", "chats": []}
    tables: dict[str, Any] = {key: {} for key in ("soundevents", "status_presets", "proxies", "plugins")}
    tables |= {"app": general, "workspaces": {str(uuid.uuid4()): workspace}}
    database = sqlite3.connect(folder / "settings.sqlite")
    database.executescript(
        "CREATE TABLE settings (name TEXT UNIQUE, settings TEXT);"
        "CREATE TABLE account_settings (account TEXT UNIQUE, settings TEXT);"
        "PRAGMA user_version=5;"
    )
    database.executemany("INSERT INTO settings VALUES (?, ?)", [(name, json.dumps(table)) for name, table in tables.items()])
    values = json.dumps({"account": account, "contact": {}, "group_chat": {}})
    database.execute("INSERT INTO account_settings VALUES (?, ?)", (USER, values))
    database.commit()
    database.close()


home = Path(DIRECTORY)
write_settings(home / "gajim")
os.environ |= dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"), DIRECTORY)
# Gajim refuses to run as root, which a test may be.
os.geteuid = lambda: 1000

import gi  # noqa: E402 - it reads the environment

gi.require_version("Gtk", "3.0")
from gajim.common import app  # noqa: E402
from gajim.gajim import main  # noqa: E402
from gi.repository import Gdk, GLib, Gtk  # noqa: E402
from nbxmpp import JID  # noqa: E402

# A picture shows what there is, not what it comes from.
Gtk.Settings.get_default().set_property("gtk-enable-animations", False)


def windows() -> list[Any]:
    return [window for window in Gtk.Window.list_toplevels() if window.get_visible()]


def window_of(kind: str) -> Any:
    """The newest window of a class."""
    found = [window for window in windows() if type(window).__name__ == kind]
    return found[-1] if found else None


def widgets(top: Any) -> Iterator[Any]:
    """All that is shown inside a widget, from top to bottom."""
    if top.get_mapped():
        yield top
        if isinstance(top, Gtk.Container):
            children: list[Any] = []
            top.forall(children.append)
            for child in children:
                yield from widgets(child)


def text_of(widget: Any) -> str:
    if isinstance(widget, Gtk.TextView):
        buffer = widget.get_buffer()
        return str(buffer.get_text(*buffer.get_bounds(), True))
    if isinstance(widget, Gtk.TreeView) and widget.get_model() is not None:
        return "\n".join(str(row[0]) for row in widget.get_model() if isinstance(row[0], str))
    if isinstance(widget, Gtk.ComboBoxText):
        return widget.get_active_text() or ""
    if isinstance(widget, Gtk.Label | Gtk.Entry):
        return str(widget.get_text())
    return ""


def online() -> bool:
    return bool(app.window) and app.account_is_connected(USER) and app.get_client(USER).state.is_available


def execute(jid: str) -> None:
    """Open the window of an entity's commands, as the menu of the account does."""
    shut("AdHocCommands")
    app.app.activate_action(f"{USER}-execute-command", GLib.Variant("s", jid))
    window_of("AdHocCommands").resize(640, 720)


def shut(kind: str) -> None:
    window = window_of(kind)
    if window is not None:
        window.destroy()


def text(kind: str) -> str:
    """All texts that the newest window of that class shows."""
    window = window_of(kind)
    return "" if window is None else "\n".join(filter(None, map(text_of, widgets(window))))


def choose(node: str) -> bool:
    """Select a command of the list; whether it is there."""
    for tree in widgets(window_of("AdHocCommands")):
        if isinstance(tree, Gtk.TreeView):
            for row in tree.get_model():
                if row[1].endswith(f":{node}"):
                    tree.get_selection().select_path(row.path)
                    return True
    return False


def press(kind: str, label: str) -> bool:
    """Press a button; whether it could be."""
    window = window_of(kind)
    shown = [] if window is None else list(widgets(window))
    # A field is looked through 0.2 s after its last change; a form that is gone by then makes Gajim 1.7.3 raise an error.
    forms = [widget for widget in shown if type(widget).__name__ == "FormGrid"]
    if any(getattr(row, "_validate_source_id", None) is not None for form in forms for row in form.rows):
        return False
    for widget in shown:
        if isinstance(widget, Gtk.Button) and widget.get_label() == label and widget.is_sensitive():
            widget.clicked()
            return True
    return False


def fill(label: str, value: Any) -> None:
    """Give the field whose label begins so its value: a text, whether it is ticked, its lines or options."""
    grid = next(widget for widget in widgets(window_of("AdHocCommands")) if type(widget).__name__ == "FormGrid")
    field = next(row for row in grid.rows if hasattr(row, "_field") and row._label.get_text().startswith(label))
    widget = field._widget
    if isinstance(widget, Gtk.CheckButton):
        widget.set_active(value)
    elif isinstance(widget, Gtk.Entry):
        widget.set_text(value)
    elif isinstance(widget, Gtk.ComboBox):
        widget.set_active_id(value)
    elif isinstance(inner := widget.get_child(), Gtk.TextView):
        inner.get_buffer().set_text("\n".join(value))
    else:
        (toggle,) = inner.get_column(1).get_cells()
        wanted = [option for option, chosen in field._field.options if chosen in value]
        for row in inner.get_model():
            if row[3] != (row[0] in wanted):
                toggle.emit("toggled", str(row.path))


def chat(jid: str) -> None:
    """Open a chat and look at it."""
    app.window.add_chat(USER, JID.from_string(jid), "contact", select=True)
    app.window.select_chat(USER, JID.from_string(jid))


def say(line: str) -> None:
    """Send a line in the open chat."""
    box = next(widget for widget in widgets(app.window) if type(widget).__name__ == "MessageActionsBox")
    box.msg_textview.get_buffer().set_text(line)
    app.window.activate_action("send-message", None)


def show_roster() -> None:
    app.window.show_account_page(USER)


def show(jid: str) -> str:
    """The status that a contact's icon has."""
    return str(app.get_client(USER).get_module("Contacts").get_contact(jid).show.value)


def frames(kind: str) -> int:
    """How often the newest window of that class was painted; it will be once more."""
    window = window_of(kind)
    window.queue_draw()
    return int(window.get_frame_clock().get_frame_counter())


def picture(kind: str, path: str) -> None:
    """Keep what the newest window of that class shows, as PNG."""
    surface = window_of(kind).get_window()
    Gdk.pixbuf_get_from_window(surface, 0, 0, surface.get_width(), surface.get_height()).savev(path, "png", [], [])


def faults() -> list[str]:
    """The tracebacks that Gajim has shown."""
    shown = [window._traceback_data for window in windows() if type(window).__name__ == "ExceptionDialog"]
    return ["".join(traceback.format_exception(*data)) for data in shown]


VERBS = {
    verb.__name__: verb
    for verb in (online, execute, shut, text, choose, press, fill, chat, say, show_roster, show, frames, picture, faults)
}


def answer(request: bytes) -> dict[str, Any]:
    verb, *arguments = json.loads(request)
    try:
        return {"result": VERBS[verb](*arguments)}
    # Whatever went wrong is the test's to show.
    except Exception:  # noqa: BLE001
        return {"error": traceback.format_exc()}


def in_main_loop(request: bytes) -> Any:
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
    GLib.idle_add(lambda: answers.put(answer(request)))
    return answers.get()


def serve() -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(home / "control.new"))
    listener.listen()
    (home / "control.new").rename(home / "control")  # who sees it can connect
    while True:
        connection, _ = listener.accept()
        with connection, connection.makefile("rwb") as stream:
            stream.write(json.dumps(in_main_loop(stream.readline())).encode() + b"\n")


threading.Thread(target=serve, daemon=True).start()
sys.argv = ["gajim", "-c", str(home / "gajim"), "-s"]
main()
