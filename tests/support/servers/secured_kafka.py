"""A Kafka broker that asks who comes: TLS by an authority of our own, users, and rights."""

from __future__ import annotations

import json
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Final

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from confluent_kafka.admin._scram import (
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from tests.support.servers.certificates import Authority
from tests.support.servers.kafka import Kafka
from tests.support.servers.node import free_ports
from tests.support.servers.secured import SECRET, USER

_ASK_S: Final = 20
_PREFIX: Final = "org.apache.kafka.common.security"
_ALL: Final = (
    *("READ", "WRITE", "CREATE", "DELETE", "ALTER", "DESCRIBE"),
    *("DESCRIBE_CONFIGS", "ALTER_CONFIGS"),
)


class SecuredKafka:
    """A broker with a plain listener for the test, and two that ask for TLS: SASL, certificates.

    Attributes:
        sasl, mutual: `host:port` of these two.
    """

    def __init__(self, folder: Path, authority: Authority) -> None:
        sasl, mutual = free_ports(2)
        self.sasl, self.mutual = f"127.0.0.1:{sasl}", f"127.0.0.1:{mutual}"
        broker = authority.issue("broker", "servers")
        login = f"{_PREFIX}.oauthbearer.OAuthBearerLoginModule required"
        users = f'user_{USER}="{SECRET}" user_stranger="{SECRET}"'
        prefix = "listener.name.sasl_ssl"
        self.kafka = Kafka(
            folder,
            settings={
                "more.listeners": f"SASL_SSL://{self.sasl},SSL://{self.mutual}",
                "more.listener.security.protocol.map": "SASL_SSL:SASL_SSL,SSL:SSL",
                "ssl.keystore.type": "PEM",
                "ssl.keystore.location": broker,
                "ssl.truststore.type": "PEM",
                "ssl.truststore.location": authority.path,
                "listener.name.ssl.ssl.client.auth": "required",
                "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
                f"{prefix}.plain.sasl.jaas.config": f"{_PREFIX}.plain.PlainLoginModule required "
                f"{users};",
                f"{prefix}.scram-sha-256.sasl.jaas.config": f"{_PREFIX}.scram.ScramLoginModule "
                "required;",
                f"{prefix}.scram-sha-512.sasl.jaas.config": f"{_PREFIX}.scram.ScramLoginModule "
                "required;",
                f"{prefix}.oauthbearer.sasl.jaas.config": f'{login} unsecuredLoginStringClaim_sub="'
                'broker";',
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users": "User:ANONYMOUS",
            },
        )

    def start(self) -> None:
        self.kafka.start()
        admin = AdminClient({"bootstrap.servers": self.kafka.bootstrap, "log_level": 0})
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
            password = ScramCredentialInfo(mechanism, 4096)
            one = UserScramCredentialUpsertion(USER, password, SECRET.encode())
            for future in admin.alter_user_scram_credentials([one]).values():
                future.result(_ASK_S)
        for user in (USER, f"CN={USER},OU=clients,O=Penstock"):
            for future in admin.create_acls(_rights(user)).values():
                future.result(_ASK_S)

    def stop(self) -> None:
        self.kafka.stop()


def _rights(user: str) -> list[AclBinding]:
    """What Penstock's user may do: all with its own topics and groups, and look at the cluster."""
    prefixed = [
        (ResourceType.TOPIC, operation, ResourcePatternType.PREFIXED, USER) for operation in _ALL
    ]
    wanted = [
        *prefixed,
        (ResourceType.GROUP, "ALL", ResourcePatternType.PREFIXED, USER),
        (ResourceType.BROKER, "DESCRIBE", ResourcePatternType.LITERAL, "kafka-cluster"),
        (ResourceType.BROKER, "IDEMPOTENT_WRITE", ResourcePatternType.LITERAL, "kafka-cluster"),
    ]
    return [
        AclBinding(
            kind,
            name,
            pattern,
            f"User:{user}",
            "*",
            AclOperation[operation],
            AclPermissionType.ALLOW,
        )
        for kind, operation, pattern, name in wanted
    ]


def unsecured_token(subject: str, lifetime_s: int = 3600) -> str:
    """A token (RFC 7519, 6) as a broker without a validator of its own takes it."""
    now = int(time.time())
    parts = [{"alg": "none"}, {"sub": subject, "iat": now, "exp": now + lifetime_s}]
    encoded = [urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=") for one in parts]
    return (b".".join(encoded) + b".").decode()


@contextmanager
def token_endpoint(subject: str) -> Iterator[str]:
    """The address of an OpenID provider's token endpoint, which knows one client."""

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.dumps(
                {"access_token": unsecured_token(subject), "token_type": "bearer", "expires_in": 60}
            ).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # its name
            pass

    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/token"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
