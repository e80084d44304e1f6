"""S4's commands (spec/30-levels.md, Commands), and its part of `explain`."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from component.commands.contacts import Rosters, contact_of
from component.commands.explain import Part
from component.commands.model import Answer, Ask, Asker, BadField, Command, Field, Row, Type, Values, anyone
from component.levels.links import Links
from component.levels.service import Levels
from component.levels.store import FILES_KEPT, Full, Leveled, Look, RealName, Settings
from component.rules.doors import LEVELS, Door, Effect
from component.rules.levels import Closeness, Labels
from stanzas.files import LONGEST_NAME, SharedFile, checked_link, name_of
from stanzas.jid import bare
from stanzas.levels import Listed
from stanzas.vcards import checked_photo

LONGEST_LABEL, MOST_LABELS = 64, 16
LONGEST_REAL_NAME = 255
LONGEST_INTRODUCTION = 1_000
"""Characters."""

_LEVELS = [(str(level), f"{level} (closest)" if level == 1 else str(level)) for level in LEVELS]
_DOORS = {Door.CONTACTS: "contact list", Door.REAL_NAME: "real name", Door.FILES: "files"}

_CONFIRM = Field("confirm", "Save this", Type.BOOLEAN, True)


def commands(levels: Levels, links: Links, rosters: Rosters) -> Sequence[Command]:
    own, asking = _Own(levels, rosters), _Asking(levels, links)
    return (
        Command(
            "levels",
            "How close my contacts are",
            own.levels,
            help="Lists your contacts with their level, score and labels.",
        ),
        Command(
            "label",
            "Label a contact",
            own.label,
            own.label_fields,
            words=("contact", "labels"),
            usage="label CONTACT [LABEL…] [level=1…5] [pin=yes]",
            help="Says all of a contact's labels, and how close they make them; without any, nothing is said any more.",
            examples=("label mum@example.org family level=2", "label boss@example.org work level=4 pin=yes"),
        ),
        Command(
            "open",
            "Open levels to contacts",
            own.open,
            own.open_fields,
            words=("door", "levels"),
            usage="open contacts|real-name|files [LEVEL…] [share_names=yes]",
            help="Opens levels of your contact list, real name or files; contacts see those that are not closer than they are.",
            examples=("open contacts 1 3 5", "open files 2", "open real-name"),
            asks=(_CONFIRM,),
        ),
        Command(
            "real-name",
            "My real name",
            own.real_name,
            own.real_name_fields,
            may=anyone,
            words=("fn",),
            usage="real-name FULL NAME [given=…] [family=…] [photo=LINK]",
            help="Sets the name that those see for whom you opened it; an empty one removes it.",
            examples=("real-name 'Alice Liddell' given=Alice family=Liddell", "real-name fn=''"),
        ),
        Command(
            "listable",
            "May others list me",
            own.listable,
            own.listable_fields,
            may=anyone,
            words=("listable",),
            usage="listable on|off",
            help="Off: you stand in no list that others see of their friends' contacts.",
            examples=("listable off",),
        ),
        Command(
            "contacts-of",
            "Contacts of a contact",
            asking.contacts,
            asking.contacts_fields,
            may=anyone,
            words=("owner", "level"),
            usage="contacts-of USER [LEVEL] [label=…] [as=CONTACT] [send_links=yes]",
            help="Lists the contacts of somebody who opened them to you; of yourself with `as`, what that contact gets.",
            examples=("contacts-of alice@example.org 3", "contacts-of me@example.org as=bob@example.org"),
        ),
        Command(
            "files-of",
            "Files of a contact",
            asking.files,
            asking.files_fields,
            may=anyone,
            words=("owner", "level"),
            usage="files-of USER [LEVEL] [label=NAME] [as=CONTACT] [send_links=yes]",
            help="Lists the files of somebody who opened them to you.",
            examples=("files-of alice@example.org",),
        ),
        Command(
            "share",
            "Share a file",
            own.share,
            own.share_fields,
            words=("link", "name"),
            usage="share LINK [NAME] [level=1…5] [revoke=yes]",
            help="Shares a file by its link with those for whom you open files; `revoke` ends it.",
            examples=("share https://example.org/plan.pdf level=3", "share https://example.org/plan.pdf revoke=yes"),
        ),
        Command(
            "introduce",
            "Meet a contact of a contact",
            asking.introduce,
            asking.introduce_fields,
            may=anyone,
            words=("owner", "to", "text"),
            usage="introduce USER CONTACT TEXT [use_real_name=yes]",
            help="Asks a contact of a contact whether they would like to meet you.",
            examples=("introduce alice@example.org bob@example.org 'We both play chess.'",),
        ),
        Command(
            "access-log",
            "Who looked",
            own.looks,
            help="Lists who asked for your contacts, real name and files, and what they got.",
        ),
    )


def explain_rows(levels: Levels) -> Part:
    """S4's part of `explain`: level, score, reason, when it changes."""

    async def rows(user: str, contact: str) -> Sequence[Row]:
        found = await levels.closeness(user, contact)
        if found is None:
            return (Row("Level", "none: not a contact"),)
        return (
            Row("Level", f"{found.level} (score {found.score:.2f})"),
            Row("Level because", "; ".join(found.because)),
            Row("Level changes", "not by itself" if found.until is None else f"at {_time(found.until)} if no message passes"),
        )

    return rows


class _Own:
    """What users set and see of their own."""

    def __init__(self, levels: Levels, rosters: Rosters) -> None:
        self._levels = levels
        self._rosters = rosters

    async def levels(self, asker: Asker, _values: Values) -> Answer:
        contacts = await self._levels.contacts(asker.bare)
        rows = [Row(contact.jid, ", ".join([_scored(contact.closeness), *contact.labels])) for contact in contacts]
        return Answer(f"Your {_count(len(rows), 'contact')}, closest first." if rows else "You have no contacts yet.", rows)

    async def label_fields(self, _asker: Asker) -> Sequence[Field]:
        return (
            Field("contact", "Contact", Type.CONTACT, required=True),
            Field("labels", "Labels, one a line", Type.LINES, help="family, colleague, …; none: nothing is said of them any more"),
            Field("level", "At least as close as level", Type.CHOICE, options=_LEVELS),
            Field("pin", "Exactly that level, however often you write", Type.BOOLEAN, False),
        )

    async def label(self, asker: Asker, values: Values) -> Answer:
        contact = await contact_of(asker.bare, values["contact"], "contact", self._rosters)
        labels = Labels(_labels(values["labels"]), _level(values["level"]), values["pin"])
        if labels.pinned and labels.level is None:
            raise BadField("level", "which level to pin is missing")
        if not await self._levels.is_contact(asker.bare, contact) and (labels.names or labels.level is not None):
            raise BadField("contact", f"{contact} is none of your contacts")
        await self._levels.label(asker.bare, contact, labels)
        found = await self._levels.closeness(asker.bare, contact)
        return Answer(f"{contact}: {_said(labels)}." + (f" Now {_scored(found)}." if found is not None else ""))

    async def open_fields(self, asker: Asker) -> Sequence[Field]:
        settings = await self._levels.settings(asker.bare)
        return (
            Field("door", "Open", Type.CHOICE, required=True, options=[(door.value, name) for door, name in _DOORS.items()]),
            Field("levels", "Levels (none: closed)", Type.CHOICES, options=_LEVELS, help=f"Now open: {_opened(settings)}."),
            Field("share_names", "Contact lists show my names for contacts", Type.BOOLEAN, settings.share_names),
        )

    async def open(self, asker: Asker, values: Values) -> Answer | Ask:
        door = Door(values["door"])
        levels = frozenset(int(level) for level in values["levels"])
        effect = await self._levels.effect(asker.bare, door, levels)
        change = f"{_levels_of(door, levels)} {_effect(effect)}"
        if "confirm" not in values:
            names = " Your names for contacts are shown." if values["share_names"] and door is Door.CONTACTS else ""
            return Ask(f"{change}{names} Save this?", (_CONFIRM,))
        if not values["confirm"]:
            return Answer("Nothing was changed.")
        share_names = values["share_names"] if door is Door.CONTACTS else False
        await self._levels.open_door(asker.bare, door, levels, share_names)
        return Answer(f"Saved. {change}")

    async def real_name_fields(self, asker: Asker) -> Sequence[Field]:
        name = (await self._levels.settings(asker.bare)).real_name or RealName("")
        return (
            Field("fn", "Full name (empty: removes it)", value=name.fn),
            Field("given", "Given name", value=name.given),
            Field("family", "Family name", value=name.family),
            # Converse.js 14 shows a text-single that holds a link as that link: it could not be changed.
            Field("photo", "Photo (a link, or a data: link of a small image)", Type.LINES, (name.photo,) if name.photo else ()),
        )

    async def real_name(self, asker: Asker, values: Values) -> Answer:
        fn, given, family = (_short(values, name) for name in ("fn", "given", "family"))
        if not fn and (await self._levels.settings(asker.bare)).real_name is None:
            fn = " ".join(part for part in (given, family) if part)
            if not fn and values["photo"]:
                raise BadField("fn", "a photo goes with a name")
        # Who empties the full name removes all of it, though the form still holds the rest.
        name = RealName(fn, given, family, _photo("".join(values["photo"]), asker)) if fn else None
        try:
            await self._levels.set_real_name(asker.bare, name)
        except Full as full:
            raise BadField("fn", f"no more real names of users of your server are kept here: {full}") from None
        if name is None:
            return Answer("You have no real name here now.")
        seen = "for whom you open real-name" if asker.local else "to whom you write at their faces"  # `open` is for users of ours
        return Answer(f"Your real name is {fn}. Those see it {seen}.")

    async def listable_fields(self, asker: Asker) -> Sequence[Field]:
        listable = self._levels.is_listable(asker.bare)
        return (Field("listable", "Others may see me in contact lists", Type.BOOLEAN, listable, required=True),)

    async def listable(self, asker: Asker, values: Values) -> Answer:
        try:
            await self._levels.set_listable(asker.bare, values["listable"])
        except Full as full:
            raise BadField("listable", f"no more users of your server can opt out here: {full}") from None
        return Answer("You may be listed." if values["listable"] else "You stand in nobody's list any more.")

    async def share_fields(self, _asker: Asker) -> Sequence[Field]:
        return (
            Field("link", "Link of the file", required=True),
            Field("name", "Name (empty: as the link says)"),
            Field("level", "For level (none: each that is open)", Type.CHOICE, options=_LEVELS),
            Field("revoke", "Share it no longer", Type.BOOLEAN, False),
        )

    async def share(self, asker: Asker, values: Values) -> Answer:
        try:
            link = checked_link(values["link"])
        except ValueError as error:
            raise BadField("link", str(error)) from None
        if values["revoke"]:
            if not await self._levels.revoke(asker.bare, link):
                raise BadField("link", "you don't share this file")
            return Answer("Nobody sees this file any more.")
        settings, level = await self._levels.settings(asker.bare), _level(values["level"])
        known = next((shared.file for shared in settings.files if shared.file.link == link), SharedFile(link, name_of(link)))
        name = values["name"] or known.name
        if len(name) > LONGEST_NAME:
            raise BadField("name", f"it is longer than {LONGEST_NAME} characters")
        try:
            await self._levels.share(asker.bare, Leveled(replace(known, name=name), level))
        except Full:
            raise BadField("link", f"you share {FILES_KEPT} files already") from None
        opened = settings.open(Door.FILES)
        closed = "" if (opened if level is None else level in opened) else " Nobody sees it until you open that: `open files`."
        return Answer(f"Shared: {name}, {_for_level(level)}.{closed}")

    async def looks(self, asker: Asker, _values: Values) -> Answer:
        rows = [Row(_time(look.at), _look(look)) for look in await self._levels.looks(asker.bare)]
        return Answer("Who looked, latest first." if rows else "Nobody has looked yet.", rows)


class _Asking:
    """What users ask of others."""

    def __init__(self, levels: Levels, links: Links) -> None:
        self._levels = levels
        self._links = links

    async def contacts_fields(self, _asker: Asker) -> Sequence[Field]:
        return (
            *_asking_fields(),
            Field("label", "Only those labelled"),
            _as_field(),
            _links_field("Send me a link per contact"),
            Field("send_items", "Have my client add them all (XEP-0144; some ask nothing)", Type.BOOLEAN, False),
        )

    async def contacts(self, asker: Asker, values: Values) -> Answer:
        owner, level = bare(values["owner"]), _level(values["level"])
        found = await self._levels.contacts_of(asker.bare, owner, level, values["label"], _viewer(values))
        if values["send_links"]:
            self._links.send_links(asker.jid, owner, found)
        if values["send_items"]:
            self._links.send_items(asker.jid, found)
        rows = [Row(contact.jid, _listed(contact)) for contact in found]
        return Answer(f"{_count(len(rows), 'contact')} of {owner}.", rows)

    async def files_fields(self, _asker: Asker) -> Sequence[Field]:
        return (
            *_asking_fields(),
            Field("label", "Only those named like this"),
            _as_field(),
            _links_field("Send me a message per file"),
            Field("send_items", "Send me one message with all of them", Type.BOOLEAN, False),
        )

    async def files(self, asker: Asker, values: Values) -> Answer:
        owner, level = bare(values["owner"]), _level(values["level"])
        label = (values["label"] or "").casefold()
        opened = await self._levels.files_of(asker.bare, owner, level, _viewer(values))
        found = [shared for shared in opened if label in shared.file.name.casefold()]
        files = [shared.file for shared in found]
        if values["send_links"]:
            self._links.send_files(asker.jid, files)
        if values["send_items"]:
            self._links.send_files_together(asker.jid, files)
        return Answer(f"{_count(len(found), 'file')} of {owner}.", [Row(shared.file.name, _file(shared)) for shared in found])

    async def introduce_fields(self, asker: Asker) -> Sequence[Field]:
        return (
            Field("owner", "Through whom", Type.JID, required=True),
            Field("to", "Whom you would like to meet", Type.JID, required=True),
            Field("text", "What you would like to say"),
            Field("use_real_name", "Say my real name", Type.BOOLEAN, False),
        )

    async def introduce(self, asker: Asker, values: Values) -> Answer:
        owner, to, text = bare(values["owner"]), bare(values["to"]), values["text"] or ""
        if owner == asker.bare:
            raise BadField("owner", "that is you")
        gets_it = await self._levels.introduction(asker.bare, owner, to)
        if to == asker.bare:
            raise BadField("to", "that is you")
        if len(text) > LONGEST_INTRODUCTION:
            raise BadField("text", f"it is longer than {LONGEST_INTRODUCTION} characters")
        name = (await self._levels.settings(asker.bare)).real_name if values["use_real_name"] else None
        if values["use_real_name"] and name is None:
            raise BadField("use_real_name", "you have set no real name yet: `real-name` does")
        again = await self._levels.take_introduction(asker.bare, to)
        if again is not None:
            raise BadField("to", f"one introduction a day to the same person: the next one after {_time(again)}")
        if gets_it:
            self._links.introduce(asker.bare, name, owner, to, text)
        return Answer(f"{to} has been asked.")


def _asking_fields() -> Sequence[Field]:
    return (
        Field("owner", "Of whom", Type.JID, required=True),
        Field("level", "Level (none: all that you may see)", Type.CHOICE, options=_LEVELS),
    )


def _as_field() -> Field:
    return Field("as", "Of yourself: what this contact gets", Type.JID)


def _links_field(label: str) -> Field:
    return Field("send_links", label, Type.BOOLEAN, False)


def _viewer(values: Values) -> str | None:
    return None if values["as"] is None else bare(values["as"])


def _level(text: str | None) -> int | None:
    return int(text) if text else None


def _labels(lines: Sequence[str]) -> tuple[str, ...]:
    labels = tuple(dict.fromkeys(label.strip() for line in lines for label in line.split(",") if label.strip()))
    if len(labels) > MOST_LABELS:
        raise BadField("labels", f"there are more than {MOST_LABELS}")
    for label in labels:
        if len(label) > LONGEST_LABEL:
            raise BadField("labels", f"one is longer than {LONGEST_LABEL} characters")
    return labels


def _short(values: Values, name: str) -> str:
    text = values[name] or ""
    if len(text) > LONGEST_REAL_NAME:
        raise BadField(name, f"it is longer than {LONGEST_REAL_NAME} characters")
    return str(text)


def _photo(text: str, asker: Asker) -> str:
    if not text:
        return ""
    try:
        photo = checked_photo(text)
    except ValueError as error:
        raise BadField("photo", str(error)) from None
    if photo.startswith("data:") and not asker.local:
        raise BadField("photo", "images themselves are kept for users of this server alone: a link will do")
    return photo


# --- words ---


def _scored(found: Closeness) -> str:
    return f"level {found.level}, score {found.score:.2f}"


def _said(labels: Labels) -> str:
    said = [*labels.names]
    if labels.level is not None:
        said.append(f"pinned to level {labels.level}" if labels.pinned else f"at least level {labels.level}")
    return ", ".join(said) or "nothing is said of them"


def _opened(settings: Settings) -> str:
    return "; ".join(f"{door.value} {_numbers(settings.open(door))}" for door in Door)


def _numbers(levels: frozenset[int]) -> str:
    return ", ".join(str(level) for level in sorted(levels)) or "none"


def _levels_of(door: Door, levels: frozenset[int]) -> str:
    if not levels:
        return f"Your {_DOORS[door]}: closed."
    return f"Your {_DOORS[door]}: open at level{'s' if len(levels) > 1 else ''} {_numbers(levels)}."


def _effect(effect: Effect) -> str:
    lose = "loses" if effect.lose == 1 else "lose"
    return f"{_count(effect.gain, 'contact')} {'gains' if effect.gain == 1 else 'gain'} by it, {effect.lose} {lose} by it."


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _for_level(level: int | None) -> str:
    return "every open level" if level is None else f"level {level}"


def _listed(contact: Listed) -> str:
    return ", ".join([f"level {contact.level}", *([contact.name] if contact.name else []), *contact.labels])


def _file(shared: Leveled) -> str:
    file = shared.file
    known = [
        _for_level(shared.level),
        *([f"{file.size} bytes"] if file.size is not None else []),
        *([file.media_type] if file.media_type else []),
        *(f"{algorithm} {value}" for algorithm, value in file.hashes),
    ]
    return f"{file.link} ({', '.join(known)})"


def _look(look: Look) -> str:
    level = "all levels" if look.level is None else f"level {look.level}"
    return f"{look.who}, {look.door.value}, {level}, {'granted' if look.granted else 'refused'}"


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
