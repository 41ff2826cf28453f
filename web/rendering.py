"""From a template to an answer: French dates and numbers, the frame, fragments for htmx."""

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse, RedirectResponse

from chassis import clock
from web import cookie_choice, navigation, static, words
from web.forms import KEY_FIELD, SAFE, TOKEN_FIELD, Form, Tokens
from web.headers import NEVER_STORED
from web.messages import DONE

PARIS = ZoneInfo("Europe/Paris")
MONTHS = (
    *("janvier", "février", "mars", "avril", "mai", "juin", "juillet"),
    *("août", "septembre", "octobre", "novembre", "décembre"),
)
_MONTH_S = 2_629_800
_MONTHS_FROM_S = 60 * 86_400
_NO_BREAK, _THIN = "\u00a0", "\u202f"
_AS_IT_IS = r"<(textarea|code|pre|title|option)\b.*?</\1>|<[^>]*>"
_LOOSE = re.compile(rf"{_AS_IT_IS}|(?<=[^\s>]) (?=[:;?!»%](?![\w/]))|(?<=«) ", re.DOTALL)
"""A space that French typography does not let a line end at; elsewhere than in tags and forms."""

templates = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def instant(value: str | datetime) -> datetime:
    """An instant of the interface (RFC 3339), in Paris."""
    read = datetime.fromisoformat(value) if isinstance(value, str) else value
    return read.astimezone(PARIS)


def day(value: str | datetime) -> Markup:
    """`<time>` with the day: 1er mars 2026. Takes a calendar day (2026-03-01) as well."""
    if isinstance(value, str) and len(value) == len("2026-03-01"):
        return _time(value, _day(date.fromisoformat(value)))
    at = instant(value)
    return _time(at.isoformat(timespec="seconds"), _day(at))


def moment(value: str | datetime) -> Markup:
    """`<time>` with day and minute: 3 mars 2026 à 14 h 05."""
    at = instant(value)
    hour = f"{at.hour}{_NO_BREAK}h{_NO_BREAK}{at.minute:02}"
    return _time(at.isoformat(timespec="seconds"), f"{_day(at)} à {hour}")


def _day(at: date) -> str:
    return f"{'1er' if at.day == 1 else at.day}{_NO_BREAK}{MONTHS[at.month - 1]} {at.year}"


def _time(machine: str, text: str) -> Markup:
    return Markup('<time datetime="{}">{}</time>').format(machine, text)


def span(length: timedelta) -> str:
    """How long, in the one unit that matters: 3 mois, 12 jours, 5 heures, 3 minutes."""
    seconds = max(0, int(length.total_seconds()))
    if seconds >= _MONTHS_FROM_S:
        return counted(seconds // _MONTH_S, "mois", "mois")
    for unit, word in ((86_400, "jour"), (3_600, "heure"), (60, "minute")):
        if seconds >= unit:
            return counted(seconds // unit, word)
    return "moins d'une minute"


def left(value: str | datetime) -> str:
    """The time until an instant; empty once it is over."""
    rest = instant(value) - clock.now()
    return span(rest) if rest > timedelta(0) else ""


def age(value: str | datetime) -> str:
    """The time since an instant."""
    return span(clock.now() - instant(value))


def number(value: float) -> str:
    """12 345,6."""
    return f"{value:,}".replace(",", _THIN).replace(".", ",")


def counted(value: int, one: str, many: str | None = None) -> str:
    """1 entreprise, 2 entreprises; in French nought is singular."""
    word = one if value < 2 else many or f"{one}s"
    return f"{number(value)}{_NO_BREAK}{word}"


def paragraphs(text: str) -> Markup:
    """What somebody typed on several lines, as paragraphs; everything else in it is text."""
    parts = [part.strip() for part in text.replace("\r", "").split("\n\n") if part.strip()]
    shown = [Markup("<br>").join(escape(line) for line in part.split("\n")) for part in parts]
    return Markup().join(Markup("<p>{}</p>").format(part) for part in shown)


def phone(value: str) -> str:
    """A number of the interface (E.164) as people in France write it; others as they are."""
    if not value.startswith("+33") or len(value) != len("+33235112233"):
        return value
    digits = f"0{value[3:]}"
    return _NO_BREAK.join(digits[at : at + 2] for at in range(0, 10, 2))


def siret(value: str) -> str:
    """732 829 320 00074."""
    return _NO_BREAK.join((value[:3], value[3:6], value[6:9], value[9:]))


def first(text: str, *, upper: bool = True) -> str:
    """The same with another first letter, as the beginning or the rest of a sentence."""
    return (text[:1].upper() if upper else text[:1].lower()) + text[1:]


def field_id(name: str) -> str:
    """The id of a form's field."""
    return f"champ-{name.replace('.', '-')}"


def described(form: Form, name: str, hint: str, *, group: bool = False) -> Markup:
    """The attributes that tie a field to its hint and to what is wrong with it."""
    wrong, parts = name in form.errors, []
    if hint:
        parts.append(f"{field_id(name)}-aide")
    if wrong:
        parts.append(f"{field_id(name)}-erreur")
    told = Markup(' aria-describedby="{}"').format(" ".join(parts)) if parts else Markup()
    return told + (Markup(' aria-invalid="true"') if wrong and not group else Markup())


templates.filters |= {
    "day": day,
    "moment": moment,
    "left": left,
    "age": age,
    "number": number,
    "counted": counted,
    "paragraphs": paragraphs,
    "phone": phone,
    "siret": siret,
    "first": first,
}
templates.globals |= {
    "static": static.address,
    "TOKEN_FIELD": TOKEN_FIELD,
    "KEY_FIELD": KEY_FIELD,
    "NO_FORM": Form(key=""),
    "field_id": field_id,
    "described": described,
    "words": words,
}
templates.globals["ui"] = templates.get_template("macros/ui.html").module
_form_macros = templates.get_template("macros/forms.html")


def tight(html: str) -> str:
    """The page with spaces before double punctuation, and inside « », at which no line ends."""
    return _LOOSE.sub(lambda found: _NO_BREAK if found[0] == " " else found[0], html)


def page(
    request: Request,
    template: str,
    *,
    form: Form | None = None,
    status: int | None = None,
    fragment: str | None = None,
    headers: Mapping[str, str] | None = None,
    **values: Any,
) -> HTMLResponse:
    """The page; or its block `fragment` alone, when htmx asks for a part of a page.

    A form with errors makes it a 422. What is for one person is never stored on the way.
    """
    person = getattr(request.state, "person", None)
    kinds = person.kinds if person else {navigation.VISITOR}
    pages = request.app.state.pages
    issued = Tokens(request)

    context = {
        "person": person,
        "form": form,
        "f": _form_macros.make_module({"form_token": issued.another}),
        "here": lambda path: _here(request.url.path, path),
        "done": DONE.get(request.query_params.get("fait", "")),
        "header": navigation.shown(navigation.HEADER, kinds=kinds, pages=pages),
        "footer": navigation.shown(navigation.FOOTER, kinds=kinds, pages=pages),
        "account": navigation.shown((navigation.ACCOUNT,), kinds=kinds, pages=pages),
        "pages": pages,
        "ask_cookies": cookie_choice.to_ask(request),
        "came_here": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        **values,
    }
    source = templates.get_template(template)
    if fragment is not None and wants_part(request):
        html = "".join(source.blocks[fragment](source.new_context(context)))
    else:
        html = source.render(context)
    failed = form is not None and form.failed
    answer = HTMLResponse(
        tight(html), status_code=status or (422 if failed else 200), headers=headers
    )
    answer.headers["Vary"] = "Cookie, HX-Request-Type"
    if person or issued.any or request.method not in SAFE:
        answer.headers["Cache-Control"] = NEVER_STORED
    else:
        answer.headers["Cache-Control"] = "private, no-cache"
    issued.set_cookie(answer)
    return answer


def wants_part(request: Request) -> bool:
    """Whether htmx asks for a part of the page."""
    return request.headers.get("hx-request-type") == "partial"


def _here(path: str, link: str) -> Markup:
    """What marks the link of the page that is shown, or of the one above it."""
    if path == link:
        return Markup(' aria-current="page"')
    return Markup(' aria-current="true"') if path.startswith(f"{link}/") else Markup()


def to(path: str, *, done: str = "") -> RedirectResponse:
    """After a form: go and look (303), with the message of `web.messages` that says what was done."""
    if done:
        path += ("&" if "?" in path else "?") + f"fait={done}"
    return RedirectResponse(path, 303)
