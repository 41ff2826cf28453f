"""Reads about people."""

from typing import Any
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis.errors import NotFoundError
from services.directory.models import (
    Attachment,
    AttachmentState,
    Company,
    Photo,
    PhotoState,
    Profile,
)
from services.directory.queries.viewers import Viewer, can_see_person
from services.directory.schemas.people import PersonName, PersonView, ProfileView, Workplace

_HAS_PHOTO = exists(
    select(1)
    .select_from(Photo)
    .where(col(Photo.person_id) == col(Profile.person_id), col(Photo.state) == PhotoState.STORED)
)


async def own_profile(session: AsyncSession, *, viewer: UUID) -> ProfileView:
    """The caller's profile; raises `NotFoundError` before there is one."""
    row = (
        await session.execute(select(Profile, _HAS_PHOTO).where(col(Profile.person_id) == viewer))
    ).one_or_none()
    if row is None:
        raise NotFoundError("Vous n'avez pas encore de profil.")
    return ProfileView(**row[0].model_dump(), photo=row[1])


async def person(session: AsyncSession, *, person_id: UUID, viewer: Viewer) -> PersonView:
    """A member with the companies they act for; raises `NotFoundError` for who may not know."""
    row = (
        await session.execute(
            select(Profile, _HAS_PHOTO).where(
                col(Profile.person_id) == person_id,
                can_see_person(viewer, col(Profile.person_id)),
            )
        )
    ).one_or_none()
    if row is None:
        raise NotFoundError
    companies = await session.execute(
        select(col(Company.id), col(Company.name), col(Attachment.role))
        .join(Attachment, col(Attachment.company_id) == col(Company.id))
        .where(
            col(Attachment.person_id) == person_id,
            col(Attachment.state) == AttachmentState.ACTIVE,
        )
        .order_by(col(Company.folded_name), col(Company.id))
    )
    profile, photo = row
    return PersonView(
        **profile.model_dump(exclude={"person_id", "updated_at"}),
        id=person_id,
        photo=photo,
        companies=[Workplace.model_validate(company) for company in companies],
    )


async def photo_key(session: AsyncSession, *, person_id: UUID, viewer: Viewer) -> str:
    """Where the photo of a person is stored; raises `NotFoundError` for who may not see them."""
    key: str | None = await session.scalar(
        select(col(Photo.storage_key)).where(
            col(Photo.person_id) == person_id,
            col(Photo.state) == PhotoState.STORED,
            can_see_person(viewer, col(Photo.person_id)),
        )
    )
    if key is None:
        raise NotFoundError
    return key


async def own_photo_key(session: AsyncSession, *, viewer: UUID) -> str:
    """Where the caller's photo is stored; raises `NotFoundError` when there is none."""
    key: str | None = await session.scalar(
        select(col(Photo.storage_key)).where(
            col(Photo.person_id) == viewer, col(Photo.state) == PhotoState.STORED
        )
    )
    if key is None:
        raise NotFoundError
    return key


def name_in(row: Any) -> PersonName:
    """The name in a row that has `person_id`, `last_name`, `first_name` and `job_title`."""
    return PersonName(
        id=row.person_id,
        last_name=row.last_name,
        first_name=row.first_name,
        job_title=row.job_title,
    )
