"""What a route's document says of failures that do not follow from how the route is made."""

from http import HTTPStatus
from typing import Any


def failures(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """For a route's ``responses``: each of these as problem details."""
    return {
        status.value: {
            "description": status.phrase,
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }
