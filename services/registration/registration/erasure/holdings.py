"""What registration holds on people and companies: of all services the only one that knows a name."""

from chassis.holdings import Holding, Holdings, about

HELD = Holdings(
    (
        Holding(
            "company",
            "company_id, revision, name, profile, withdrawn, registered_at",
            person="position({id}::text in profile::text) > 0",
            company="company_id = {id}",
        ),
        about("person", "person_id, company_id, name, part, email, reads", "(person_id = {id} or company_id = {id})"),
    ),
    subjects="select {id}",
)
NOBODY = {
    "erasure": "the bare id of who was forgotten",
    "erasure_answer": "which service has forgotten them",
}
