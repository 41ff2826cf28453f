"""Rights requests, proofs of consent, cookie choices.

Revision: 0004, after 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "cookie_choice",
        sa.Column("choice_id", sa.Uuid(), nullable=False, comment="data subject: fate=delete"),
        sa.Column("audience", sa.Boolean(), nullable=False, comment="personal: preference"),
        sa.Column("notice_version", sa.String(), nullable=False, comment="personal: preference"),
        sa.Column(
            "chosen_at", sa.DateTime(timezone=True), nullable=False, comment="personal: preference"
        ),
        sa.Column(
            "ask_again_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="personal: preference",
        ),
        sa.Column(
            "expires_at", sa.DateTime(timezone=True), nullable=False, comment="personal: preference"
        ),
        sa.Column(
            "withdrawn_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="personal: preference",
        ),
        sa.CheckConstraint(
            "ask_again_at <= expires_at", name=op.f("ck_cookie_choice_asked_before_it_ends")
        ),
        sa.CheckConstraint(
            "withdrawn_at IS NULL OR audience",
            name=op.f("ck_cookie_choice_only_agreement_is_withdrawn"),
        ),
        sa.ForeignKeyConstraint(
            ["choice_id"],
            ["data_subject.live_id"],
            name=op.f("fk_cookie_choice_choice_id_data_subject"),
        ),
        sa.PrimaryKeyConstraint("choice_id", name=op.f("pk_cookie_choice")),
    )
    op.create_index(
        op.f("ix_cookie_choice_expires_at"), "cookie_choice", ["expires_at"], unique=False
    )
    op.create_table(
        "rights_request",
        sa.Column("request_id", sa.Uuid(), nullable=False, comment="not personal: opaque id"),
        sa.Column(
            "subject_id",
            sa.Uuid(),
            nullable=False,
            comment="data subject: fate=keep hold=rights-proof",
        ),
        sa.Column(
            "has_account", sa.Boolean(), nullable=False, comment="personal: technical of=subject_id"
        ),
        sa.Column("kind", sa.String(), nullable=False, comment="personal: content of=subject_id"),
        sa.Column(
            "channel", sa.String(), nullable=False, comment="personal: technical of=subject_id"
        ),
        sa.Column(
            "state", sa.String(), nullable=False, comment="personal: technical of=subject_id"
        ),
        sa.Column(
            "received_on", sa.Date(), nullable=False, comment="personal: content of=subject_id"
        ),
        sa.Column("due_on", sa.Date(), nullable=False, comment="not personal: last day to answer"),
        sa.Column(
            "extended", sa.Boolean(), nullable=False, comment="not personal: two months more"
        ),
        sa.Column(
            "paused_on",
            sa.Date(),
            nullable=True,
            comment="not personal: since when the clock stands still",
        ),
        sa.Column(
            "paused_days",
            sa.Integer(),
            nullable=False,
            comment="not personal: days for which the clock stood still",
        ),
        sa.Column(
            "closed_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="personal: content of=subject_id",
        ),
        sa.Column(
            "expires_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="not personal: end of the mailed link",
        ),
        sa.Column(
            "erasure_id",
            sa.Uuid(),
            nullable=True,
            comment="not personal: opaque id of the erasure it led to",
        ),
        sa.Column(
            "key_hash",
            sa.String(),
            nullable=True,
            comment="not personal: SHA-256 of the random key that follows it",
        ),
        sa.CheckConstraint(
            "(state = 'identity_check') = (paused_on IS NOT NULL)",
            name=op.f("ck_rights_request_pause"),
        ),
        sa.CheckConstraint(
            "(state = 'unconfirmed') = (expires_at IS NOT NULL)",
            name=op.f("ck_rights_request_expiry"),
        ),
        sa.CheckConstraint(
            "(state IN ('answered', 'refused')) = (closed_at IS NOT NULL)",
            name=op.f("ck_rights_request_closing"),
        ),
        sa.CheckConstraint(
            "channel IN ('form', 'account', 'letter')", name=op.f("ck_rights_request_channel_known")
        ),
        sa.CheckConstraint(
            "kind IN ('access', 'rectification', 'erasure', 'objection', 'restriction', 'portability')",
            name=op.f("ck_rights_request_kind_known"),
        ),
        sa.CheckConstraint(
            "state IN ('unconfirmed', 'open', 'identity_check', 'answered', 'refused')",
            name=op.f("ck_rights_request_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["erasure_id"],
            ["erasure.erasure_id"],
            name=op.f("fk_rights_request_erasure_id_erasure"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["subject_id"],
            ["data_subject.id"],
            name=op.f("fk_rights_request_subject_id_data_subject"),
        ),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_rights_request")),
    )
    op.create_index(
        "ix_rights_request_closed", "rights_request", ["closed_at", "request_id"], unique=False
    )
    op.create_index(
        op.f("ix_rights_request_erasure_id"), "rights_request", ["erasure_id"], unique=False
    )
    op.create_index("ix_rights_request_expires_at", "rights_request", ["expires_at"], unique=False)
    op.create_index(
        op.f("ix_rights_request_subject_id"), "rights_request", ["subject_id"], unique=False
    )
    op.create_index(
        "ix_rights_request_waiting",
        "rights_request",
        ["due_on"],
        unique=False,
        postgresql_where=sa.text("state IN ('open', 'identity_check')"),
    )
    op.create_table(
        "rights_contact",
        sa.Column("request_id", sa.Uuid(), nullable=False, comment="not personal: opaque id"),
        sa.Column("subject_id", sa.Uuid(), nullable=False, comment="data subject: fate=delete"),
        sa.Column(
            "address_hmac", sa.String(), nullable=True, comment="personal: contact of=subject_id"
        ),
        sa.Column(
            "sealed_address",
            sa.LargeBinary(),
            nullable=True,
            comment="personal: contact of=subject_id",
        ),
        sa.Column(
            "sealed_postal_address",
            sa.LargeBinary(),
            nullable=True,
            comment="personal: contact of=subject_id",
        ),
        sa.Column(
            "sealed_message",
            sa.LargeBinary(),
            nullable=True,
            comment="personal: content of=subject_id",
        ),
        sa.Column(
            "sealed_identity",
            sa.LargeBinary(),
            nullable=True,
            comment="personal: identity of=subject_id",
        ),
        sa.Column(
            "asked_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="personal: connection of=subject_id",
        ),
        sa.ForeignKeyConstraint(
            ["request_id"],
            ["rights_request.request_id"],
            name=op.f("fk_rights_contact_request_id_rights_request"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["subject_id"],
            ["data_subject.live_id"],
            name=op.f("fk_rights_contact_subject_id_data_subject"),
        ),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_rights_contact")),
    )
    op.create_index(
        "ix_rights_contact_address", "rights_contact", ["address_hmac", "asked_at"], unique=False
    )
    op.create_index(
        op.f("ix_rights_contact_subject_id"), "rights_contact", ["subject_id"], unique=False
    )
    op.create_table(
        "rights_event",
        sa.Column("id", sa.Uuid(), nullable=False, comment="not personal: opaque id"),
        sa.Column("request_id", sa.Uuid(), nullable=False, comment="not personal: opaque id"),
        sa.Column(
            "subject_id",
            sa.Uuid(),
            nullable=False,
            comment="data subject: fate=keep hold=rights-proof",
        ),
        sa.Column("step", sa.String(), nullable=False, comment="personal: content of=subject_id"),
        sa.Column(
            "at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="personal: content of=subject_id",
        ),
        sa.Column(
            "actor_role",
            sa.String(),
            nullable=False,
            comment="not personal: role, from a closed list",
        ),
        sa.Column("actor_id", sa.Uuid(), nullable=True, comment="data subject: fate=detach"),
        sa.CheckConstraint(
            "actor_role IN ('person', 'agent', 'dpo', 'platform')",
            name=op.f("ck_rights_event_actor_role_known"),
        ),
        sa.CheckConstraint(
            "step IN ('received', 'confirmed', 'identity_doubted', 'identity_checked', 'extended', 'erasure_started', 'export_started', 'processing_stopped', 'answered', 'refused', 'erased', 'mail_undeliverable')",
            name=op.f("ck_rights_event_step_known"),
        ),
        sa.ForeignKeyConstraint(
            ["actor_id"],
            ["data_subject.live_id"],
            name=op.f("fk_rights_event_actor_id_data_subject"),
        ),
        sa.ForeignKeyConstraint(
            ["request_id"],
            ["rights_request.request_id"],
            name=op.f("fk_rights_event_request_id_rights_request"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["subject_id"],
            ["data_subject.id"],
            name=op.f("fk_rights_event_subject_id_data_subject"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rights_event")),
    )
    op.create_index(op.f("ix_rights_event_actor_id"), "rights_event", ["actor_id"], unique=False)
    op.create_index(
        op.f("ix_rights_event_request_id"), "rights_event", ["request_id"], unique=False
    )
    op.create_index(
        op.f("ix_rights_event_subject_id"), "rights_event", ["subject_id"], unique=False
    )
    op.create_table(
        "rights_mail",
        sa.Column("id", sa.Uuid(), nullable=False, comment="not personal: opaque id"),
        sa.Column("request_id", sa.Uuid(), nullable=False, comment="not personal: opaque id"),
        sa.Column("subject_id", sa.Uuid(), nullable=False, comment="data subject: fate=delete"),
        sa.Column(
            "template",
            sa.String(),
            nullable=False,
            comment="not personal: kind of mail, from a closed list",
        ),
        sa.Column(
            "sealed_words",
            sa.LargeBinary(),
            nullable=True,
            comment="personal: content of=subject_id",
        ),
        sa.Column(
            "token_hash",
            sa.String(),
            nullable=True,
            comment="not personal: SHA-256 of a random secret, once it is sent",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="personal: content of=subject_id",
        ),
        sa.Column(
            "attempts", sa.Integer(), nullable=False, comment="not personal: tries to send it"
        ),
        sa.Column(
            "due_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="not personal: next try to send it; null when there is none",
        ),
        sa.Column(
            "sent_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="personal: content of=subject_id",
        ),
        sa.CheckConstraint(
            "template IN ('link', 'letter_link', 'received', 'identity_doubted', 'extended', 'refused', 'nothing_held', 'done', 'objection', 'restriction')",
            name=op.f("ck_rights_mail_template_known"),
        ),
        sa.ForeignKeyConstraint(
            ["request_id"],
            ["rights_request.request_id"],
            name=op.f("fk_rights_mail_request_id_rights_request"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["subject_id"],
            ["data_subject.live_id"],
            name=op.f("fk_rights_mail_subject_id_data_subject"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rights_mail")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_rights_mail_token_hash")),
    )
    op.create_index(
        "ix_rights_mail_due_at",
        "rights_mail",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(op.f("ix_rights_mail_request_id"), "rights_mail", ["request_id"], unique=False)
    op.create_index(op.f("ix_rights_mail_subject_id"), "rights_mail", ["subject_id"], unique=False)
    op.add_column(
        "consent",
        sa.Column(
            "consent_id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="not personal: opaque id",
        ),
    )
    op.add_column(
        "consent",
        sa.Column(
            "purpose",
            sa.String(),
            server_default="platform",
            nullable=False,
            comment="personal: preference",
        ),
    )
    op.add_column(
        "consent",
        sa.Column(
            "text_hash",
            sa.String(),
            nullable=True,
            comment="not personal: SHA-256 of the published text",
        ),
    )
    op.add_column(
        "consent",
        sa.Column(
            "given_by",
            sa.String(),
            server_default="sign_up",
            nullable=False,
            comment="personal: preference",
        ),
    )
    op.add_column(
        "consent",
        sa.Column(
            "withdrawn_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="personal: preference",
        ),
    )
    op.add_column(
        "consent",
        sa.Column("withdrawn_by", sa.String(), nullable=True, comment="personal: preference"),
    )
    op.create_index("ix_consent_person_id", "consent", ["person_id"], unique=False)
    op.create_index(
        "uq_consent_active",
        "consent",
        ["person_id", "purpose", "notice_version"],
        unique=True,
        postgresql_where=sa.text("withdrawn_at IS NULL"),
    )
    # Somebody may agree again: each time is a row of its own. The previous release writes on.
    op.drop_constraint(op.f("pk_consent"), "consent", type_="primary")
    op.create_primary_key(op.f("pk_consent"), "consent", ["consent_id"])
    op.create_check_constraint(
        op.f("ck_consent_withdrawn_has_its_means"),
        "consent",
        "(withdrawn_at IS NULL) = (withdrawn_by IS NULL)",
    )
