from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from enum import Enum

class ResourceType(Enum):
    ANY = 1
    TOPIC = 2
    GROUP = 3
    BROKER = 4
    TRANSACTIONAL_ID = 5

class ResourcePatternType(Enum):
    ANY = 1
    MATCH = 2
    LITERAL = 3
    PREFIXED = 4

class AclOperation(Enum):
    ANY = 1
    ALL = 2
    READ = 3
    WRITE = 4
    CREATE = 5
    DELETE = 6
    ALTER = 7
    DESCRIBE = 8
    DESCRIBE_CONFIGS = 10

class AclPermissionType(Enum):
    ANY = 1
    DENY = 2
    ALLOW = 3

class AclBinding:
    restype: ResourceType
    name: str
    resource_pattern_type: ResourcePatternType
    principal: str
    host: str
    operation: AclOperation
    permission_type: AclPermissionType
    def __init__(
        self,
        restype: ResourceType,
        name: str,
        resource_pattern_type: ResourcePatternType,
        principal: str,
        host: str,
        operation: AclOperation,
        permission_type: AclPermissionType,
    ) -> None: ...

class AclBindingFilter:
    def __init__(
        self,
        restype: ResourceType,
        name: str | None,
        resource_pattern_type: ResourcePatternType,
        principal: str | None,
        host: str | None,
        operation: AclOperation,
        permission_type: AclPermissionType,
    ) -> None: ...

class ScramMechanism(Enum):
    SCRAM_SHA_256 = 1
    SCRAM_SHA_512 = 2

class ScramCredentialInfo:
    mechanism: ScramMechanism
    def __init__(self, mechanism: ScramMechanism, iterations: int) -> None: ...

class UserScramCredentialsDescription:
    scram_credential_infos: Sequence[ScramCredentialInfo]

class UserScramCredentialAlteration: ...

class UserScramCredentialUpsertion(UserScramCredentialAlteration):
    def __init__(self, user: str, scram_credential_info: ScramCredentialInfo, password: bytes) -> None: ...

class UserScramCredentialDeletion(UserScramCredentialAlteration):
    def __init__(self, user: str, mechanism: ScramMechanism) -> None: ...

class AdminClient:
    def __init__(self, config: Mapping[str, str | int]) -> None: ...
    def describe_acls(self, filter: AclBindingFilter, /) -> Future[list[AclBinding]]: ...
    def create_acls(self, acls: Sequence[AclBinding], /) -> dict[AclBinding, Future[None]]: ...
    def delete_acls(
        self, filters: Sequence[AclBindingFilter], /
    ) -> dict[AclBindingFilter, Future[list[AclBinding]]]: ...
    def describe_user_scram_credentials(self) -> Future[dict[str, UserScramCredentialsDescription]]: ...
    def alter_user_scram_credentials(
        self, alterations: Sequence[UserScramCredentialAlteration], /
    ) -> dict[str, Future[None]]: ...
