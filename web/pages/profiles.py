"""People: one's own profile and photo, and what other members say about themselves."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from web.declared import declared
from web.forms import Form, SentForm, blank
from web.gateway import Answer, ApiError
from web.joining import own_profile, steps
from web.rendering import page, phone, to
from web.sessions import CurrentPerson, Person

router = APIRouter()

_TEXTS = ("last_name", "first_name", "job_title", "phone", "about")
PICTURES = "image/jpeg,image/png,image/webp"
_LARGEST = 5_000_000


@router.get("/inscription/profil")
@router.get("/mon-compte/profil")
async def profile(request: Request, person: CurrentPerson) -> Response:
    """The same form on the way in and later on."""
    known = await own_profile(person) or {}
    texts = {name: known.get(name) for name in _TEXTS} | {"phone": phone(known.get("phone") or "")}
    form = blank(**texts, skills="\n".join(known.get("skills", ())))
    return await _profile_page(request, person, form, known)


@router.post("/inscription/profil")
@router.post("/mon-compte/profil")
async def save_profile(request: Request, person: CurrentPerson, form: SentForm) -> Response:
    form.require(last_name="Indiquez votre nom.", first_name="Indiquez votre prénom.")
    if not form.failed:
        await _save(person, form)
    if form.failed:
        return await _profile_page(request, person, form, await own_profile(person) or {})
    if _joining(request):
        return to("/inscription/entreprise", done="profil")
    return to("/mon-compte/profil", done="profil")


async def _save(person: Person, form: Form) -> None:
    """The words first: a picture that is refused takes nothing else along."""
    body: dict[str, Any] = {name: form.value(name) for name in _TEXTS}
    body["skills"] = form.lines("skills")
    try:
        await person.api.put("directory/me/profile", body)
    except ApiError as refused:
        form.refuse(refused)
        form.gather("skills")
        return
    photo = form.files.get("photo")
    try:
        if photo is not None and (photo.size or 0) > _LARGEST:
            form.fail("photo", "Cette photo dépasse 5 Mo. Choisissez-en une plus petite.")
        elif photo is not None:
            await person.api.send("PUT", "directory/me/photo", content=await photo.read())
        elif form.checked("remove_photo"):
            await person.api.delete("directory/me/photo")
    except ApiError as refused:
        form.refuse(refused, at="photo")


def _joining(request: Request) -> bool:
    return request.url.path.startswith("/inscription/")


async def _profile_page(
    request: Request, person: Person, form: Form, known: dict[str, Any]
) -> Response:
    return page(
        request,
        "people/profile.html",
        form=form,
        known=known,
        steps=await steps(person) if _joining(request) else None,
        about=await declared(request, "directory", "profile"),
        pictures=PICTURES,
    )


@router.get("/mon-compte/photo")
async def own_photo(person: CurrentPerson) -> Response:
    return _picture(await person.api.send("GET", "directory/me/photo"))


@router.get("/personnes/{person_id}")
async def somebody(request: Request, person: CurrentPerson, person_id: UUID) -> Response:
    """A member, as far as whoever looks may see them."""
    found = await person.api.get(f"directory/people/{person_id}")
    return page(request, "people/person.html", found=found)


@router.get("/personnes/{person_id}/photo")
async def photo(person: CurrentPerson, person_id: UUID) -> Response:
    return _picture(await person.api.send("GET", f"directory/people/{person_id}/photo"))


def _picture(answer: Answer) -> Response:
    return Response(answer.content, media_type="image/webp")
