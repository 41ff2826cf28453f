"""What is public about personal data: the notice in its versions, and the choice about cookies."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from chassis import clock
from web import cookie_choice
from web.declared import kept_for, readers
from web.forms import Form, SentForm, blank
from web.gateway import ApiError
from web.rendering import page, to
from web.runtime import runtime_of
from web.sessions import HOME_OF_MEMBERS, CurrentPerson, Person, local_path, visitor
from web.words import place

router = APIRouter()

NOTICE = "/donnees-personnelles"
AGREEMENT = "/mon-compte/notice"
_ASK_AGAIN = timedelta(days=182)
SECTIONS = {
    "responsable": "Qui est responsable",
    "finalites": "À quoi servent vos données",
    "base_legale": "Ce qui nous y autorise",
    "destinataires": "Qui les lit",
    "conservation": "Combien de temps",
    "droits": "Vos droits",
    "reclamation": "Réclamation",
}
"""Titles for the words of a notice. A section that is not here is shown under its own name."""


@router.get(NOTICE)
async def notice(request: Request) -> Response:
    """The text in force, and the tables that the services declare themselves."""
    found = await runtime_of(request).public("privacy/notice")
    return page(
        request,
        "privacy/notice.html",
        notice=found,
        sections=_sections(found["content"]),
        services=_by_service(found["processing"]),
        versions=await runtime_of(request).public("privacy/notices"),
    )


@router.get(f"{NOTICE}/versions/{{version}}")
async def version(request: Request, version: str) -> Response:
    """A text as it was shown to who agreed to it, and what it changed."""
    found = await visitor(request).get(f"privacy/notices/{version}")
    return page(
        request,
        "privacy/version.html",
        notice=found,
        sections=_sections(found["content"]),
        changes=_changes(found),
    )


@router.get(AGREEMENT)
async def new_notice(request: Request, person: CurrentPerson) -> Response:
    """What has changed since the caller agreed, who is asked to agree again (N8.2)."""
    return await _agreement(request, person, blank())


@router.post(AGREEMENT)
async def agree(request: Request, person: CurrentPerson, form: SentForm) -> Response:
    if form.require(version="Rechargez la page : la notice y manque."):
        body = {"purpose": "platform", "notice_version": form.value("version")}
        try:
            await person.api.post("privacy/me/consents", body)
        except ApiError as refused:
            form.refuse(refused)
        else:
            return to(HOME_OF_MEMBERS, done="notice")
    return await _agreement(request, person, form)


async def _agreement(request: Request, person: Person, form: Form) -> Response:
    asked = await person.api.get("privacy/me/notice-to-accept")
    if not asked["to_accept"]:
        return to(f"{NOTICE}/versions/{asked['version']}" if asked["version"] else NOTICE)
    path = f"privacy/notices/{asked['version']}"
    try:
        found = await person.api.get(path, since=asked["agreed_version"])
    except ApiError as refused:
        if refused.status not in {404, 422}:  # a version that was never published here
            raise
        found = await person.api.get(path)
    return page(
        request,
        "privacy/agreement.html",
        form=form,
        asked=asked,
        notice=found,
        sections=_sections(found["content"]),
        changes=_changes(found),
    )


def _changes(found: Mapping[str, Any]) -> list[tuple[str, list[str], list[str]]]:
    """Title, before and after of each part that a version has changed."""
    return [
        (SECTIONS.get(one["section"], one["section"]), _text(one["before"]), _text(one["after"]))
        for one in found["changes"]
    ]


def _sections(content: Mapping[str, Any]) -> list[tuple[str, str, list[str]]]:
    """Key, title and sentences, in the order of the titles above, then whatever else there is."""
    names = [*(name for name in SECTIONS if name in content), *(content.keys() - SECTIONS.keys())]
    return [
        (name, SECTIONS.get(name, name.replace("_", " ").capitalize()), _text(content[name]))
        for name in names
        if name != "titre"
    ]


def _text(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def _by_service(processing: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for one in processing:
        line = {
            **one,
            "readers": readers(one["recipients"]),
            "kept": kept_for(one["retention"]),
            "data": list({data["label"]: data for data in one["data"]}.values()),
        }
        found.setdefault(one["service"], []).append(line)
    return sorted(found.items(), key=lambda item: place(item[0]))


@router.get(cookie_choice.PAGE)
async def cookies(request: Request) -> Response:
    chosen = cookie_choice.choice_of(request)
    proof = None
    if chosen and chosen.choice_id:
        try:
            proof = await visitor(request).get(f"privacy/cookie-choices/{chosen.choice_id}")
        except ApiError as refused:
            if refused.status != 404:
                raise
    return page(request, "privacy/cookies.html", form=blank(), chosen=chosen, proof=proof)


@router.post(cookie_choice.PAGE)
async def choose(request: Request, form: SentForm) -> Response:
    """One press, here or on the strip of a first visit; refusing never fails."""
    audience = form.value("audience") == "oui"
    before = cookie_choice.choice_of(request)
    answer = to(local_path(form.value("suite"), otherwise=cookie_choice.PAGE), done="cookies")
    try:
        if before and before.choice_id and before.audience and not audience:
            await visitor(request).delete(f"privacy/cookie-choices/{before.choice_id}")
        made = (await visitor(request).post("privacy/cookie-choices", {"audience": audience})).data
    except ApiError:
        if audience:
            raise  # no agreement without its proof
        again = clock.now() + _ASK_AGAIN
        cookie_choice.keep(answer, choice_id="", audience=False, ask_again_at=again)
        return answer
    cookie_choice.keep(
        answer, choice_id=made["id"], audience=made["audience"], ask_again_at=made["ask_again_at"]
    )
    return answer
