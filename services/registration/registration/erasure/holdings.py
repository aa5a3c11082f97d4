"""What registration holds on people and companies: of all services the only one that knows a name."""

from chassis.holdings import Holding, Holdings, about

_SPOKEN_FOR = "person_id in (select person_id from person where person_id = {id} or company_id = {id})"
_THEIR_PLACEMENTS = (
    "jsonb_path_query_array({column}, '$.placements[*] ? (@.traveller_id == $id)', jsonb_build_object('id', {{id}}::text))"
    " as {column}"
)
_THEIR_ADDRESS = "(select email from person where person_id = {id})"
_THEIR_PART_OF_A_COMPANY = ", ".join(
    (
        "company_id, revision, registered_at, status",
        _THEIR_PLACEMENTS.format(column="profile"),
        _THEIR_PLACEMENTS.format(column="said"),
        "jsonb_path_query_array(draft, '$.** ? (@.email == $email)', jsonb_build_object('email', "
        f"{_THEIR_ADDRESS})) as draft",
    )
)
_WRITTEN_TO = "recipient_id = {id} or notice_id in (select notice_id from mail where person_id = {id})"
HELD = Holdings(
    (
        Holding(
            "company",
            "company_id, revision, name, profile, registered_at, status, draft, said, basis, decisions, last_hash",
            person=f"position({{id}}::text in concat(profile, said, draft)) > 0 or position({_THEIR_ADDRESS} in draft::text) > 0",
            company="company_id = {id}",
            shown_to_person=_THEIR_PART_OF_A_COMPANY,
        ),
        Holding("review", "company_id, country, revision, unclear, since", company="company_id = {id}"),
        Holding("decision_words", "company_id, number, salt, words", company="company_id = {id}"),
        about(
            "person",
            "person_id, company_id, name, part, email, reads, own_words",
            "(person_id = {id} or company_id = {id})",
        ),
        about("link", "link_id, person_id, purpose, email, expires_at, used_at", _SPOKEN_FOR),
        about(
            "session", "session_id, subject, person_id, role, country, opened_at, expires_at, revoked_at", _SPOKEN_FOR
        ),
        about(
            "refresh_token",
            "digest, session_id, rotated_at",
            f"session_id in (select session_id from session where {_SPOKEN_FOR})",  # noqa: S608
        ),
        about(
            "notice",
            "notice_id, asked_by, recipient_id, template, parameters, asked_at, revision, outcome, reason, answered_at",
            _WRITTEN_TO,
        ),
        about("mail", "notice_id, person_id, state, reason, tried_since, answered_at", _SPOKEN_FOR),
    ),
    subjects="select {id}",
)
NOBODY = {
    "erasure": "the bare id of who was forgotten",
    "erasure_answer": "which service has forgotten them",
    "decision": "the chain of decisions, in codes and opaque ids: it cannot be altered, and outlives who it was about",
    "vat_check": "what the register said about a number, for a week; a company's goes with it",
    "rate_limit": "keyed hashes",
    "client_secret": "digests, of other systems' secrets",
    "oidc_sign_in": "who is at the provider's door just now, unnamed",
}
